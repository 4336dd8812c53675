// A library to preload: the process, and what it starts, is told by CPUID that this CPU has neither AVX-512 nor AMX nor
// AVX-VNNI. So programs that choose their kernels when they start run what they would run on a CPU with AVX2 only.
// Linux lets a thread, and those it starts, fault at CPUID (arch_prctl(2), ARCH_SET_CPUID) where the CPU or hypervisor
// has "cpuid_fault"; elsewhere this library stops the process, rather than let it measure something else.
// Bits: Intel's Software Developer's Manual, volume 2, CPUID.
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { kSetCpuid = 0x1012, kLeafFeatures = 7, kLeafState = 0xd };

static int set_cpuid(int allowed) { return (int)syscall(SYS_arch_prctl, kSetCpuid, allowed); }

static void hide(unsigned leaf, unsigned subleaf, unsigned* eax, unsigned* ebx, unsigned* ecx, unsigned* edx) {
  if (leaf == kLeafFeatures && subleaf == 0) {
    // F, DQ, IFMA, PF, ER, CD, BW, VL
    *ebx &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
    *ecx &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);  // VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
    *edx &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 |
              1u << 25);  // .., AMX-BF16, FP16, AMX-TILE, AMX-INT8
  } else if (leaf == kLeafFeatures && subleaf == 1) {
    *eax &= ~(1u << 4 | 1u << 5 | 1u << 21 | 1u << 23);  // AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA
    *edx &= ~(1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 |
              1u << 19);  // AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10
  } else if (leaf == kLeafState && subleaf == 0) {
    *eax &= ~(1u << 5 | 1u << 6 | 1u << 7 | 1u << 17 | 1u << 18);  // masks, ZMM_Hi256, Hi16_ZMM, TILECFG, TILEDATA
  }
}

static void at_fault(int number, siginfo_t* info, void* context) {
  (void)info;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  const unsigned char* instruction = (const unsigned char*)registers[REG_RIP];
  if (instruction[0] != 0x0f || instruction[1] != 0xa2) {  // no CPUID: the program's own fault
    signal(number, SIG_DFL);
    return;
  }
  const unsigned leaf = (unsigned)registers[REG_RAX], subleaf = (unsigned)registers[REG_RCX];
  unsigned eax, ebx, ecx, edx;
  set_cpuid(1);
  __cpuid_count(leaf, subleaf, eax, ebx, ecx, edx);
  set_cpuid(0);
  hide(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  registers[REG_RAX] = eax;
  registers[REG_RBX] = ebx;
  registers[REG_RCX] = ecx;
  registers[REG_RDX] = edx;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void) {
  struct sigaction action = {.sa_sigaction = at_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  if (sigaction(SIGSEGV, &action, NULL) != 0 || set_cpuid(0) != 0) {
    perror("hide_avx512: this machine cannot fault at CPUID");
    exit(1);
  }
}
