// A librerank_cuda.so of another version, which needs a cuBLASLt that its run path does not have.
extern "C" int stub_of_cublaslt();
extern "C" const void* rerank_cuda_plugin() { return stub_of_cublaslt() == 0 ? "" : nullptr; }
