#!/usr/bin/env python3
"""librerank_cuda.so as nvcc has built it: loads with no environment that helps it, and says what it is made of.

    loads_alone.py LIBRARY PLUGIN_FOLDER     PLUGIN_FOLDER: where plugin.py lies (bench/gpu)
"""
import subprocess
import sys

library, plugin_folder = sys.argv[1:]
code = (f"import sys; sys.path.insert(0, {plugin_folder!r}); import plugin; found = plugin.load({library!r}); "
        "print(plugin.about(found))")
run = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True)
print(run.stdout + run.stderr, end="")
wanted = ("CUDA ", "sm_90a", "cuBLASLt ", "/libcublasLt.so")
sys.exit(run.returncode or (not all(word in run.stdout for word in wanted)))
