#pragma once

// `BoundLoops::multiply_add` on vector registers: `rounds` times one CHAIN(i) for each sum i, all
// in one statement, so that every sum stays in its register.
//   EACH            MEGASCALE_EACH_12 or MEGASCALE_EACH_16: how many sums, in registers from 0 on
//   CHAIN(i)        the instruction that adds to sum i, ending in "\n\t"
//   WIDTH, X, Y     "y" or "z", and the numbers of the registers that hold the two factors
#define MEGASCALE_EACH_12(DO) \
  DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define MEGASCALE_EACH_16(DO) MEGASCALE_EACH_12(DO) DO(12) DO(13) DO(14) DO(15)

#define MEGASCALE_CLEAR_SUM(i) "vxorps %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define MEGASCALE_CLOBBER_SUM(i) , "xmm" #i

#define MEGASCALE_REPEAT_CHAINS(rounds, EACH, CHAIN, WIDTH, X, Y)                             \
  do {                                                                                        \
    const float x = 1.0f, y = 0.001f;                                                         \
    asm volatile("vbroadcastss %1, %%" WIDTH "mm" #X                                          \
                 "\n\t"                                                                       \
                 "vbroadcastss %2, %%" WIDTH "mm" #Y                                          \
                 "\n\t" EACH(MEGASCALE_CLEAR_SUM) "1:\n\t" EACH(CHAIN) "dec %0\n\tjnz 1b\n\t" \
                 : "+r"(rounds)                                                               \
                 : "m"(x), "m"(y)                                                             \
                 : "cc", "xmm" #X, "xmm" #Y EACH(MEGASCALE_CLOBBER_SUM));                     \
  } while (false)
