// A library that is no ONNX Runtime.
extern "C" int rerankd_test_nothing() { return 0; }
