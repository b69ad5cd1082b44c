#include "textflag.h"

// The compression function G of RFC 9106, section 3.5, for CPUs with AVX-512. A block is a matrix
// of 8 rows with 16 words each. G applies the permutation P to each row, and then to each column,
// which is two words wide and also has 16 words.
//
// While P runs, register k holds word k of all eight rows, or of all eight columns, one in each
// lane. So eight permutations run at once, and no step of P moves words between lanes. The words
// are transposed before the rows, and again before the columns.

// TRANSPOSE transposes the 8 x 8 words of r0 to r7 into t0 to t7, and overwrites r0 to r7.
#define TRANSPOSE(r0, r1, r2, r3, r4, r5, r6, r7, t0, t1, t2, t3, t4, t5, t6, t7) \
	VPUNPCKLQDQ r1, r0, t0; \
	VPUNPCKHQDQ r1, r0, t1; \
	VPUNPCKLQDQ r3, r2, t2; \
	VPUNPCKHQDQ r3, r2, t3; \
	VPUNPCKLQDQ r5, r4, t4; \
	VPUNPCKHQDQ r5, r4, t5; \
	VPUNPCKLQDQ r7, r6, t6; \
	VPUNPCKHQDQ r7, r6, t7; \
	VSHUFI64X2  $0x88, t2, t0, r0; \
	VSHUFI64X2  $0x88, t3, t1, r1; \
	VSHUFI64X2  $0xdd, t2, t0, r2; \
	VSHUFI64X2  $0xdd, t3, t1, r3; \
	VSHUFI64X2  $0x88, t6, t4, r4; \
	VSHUFI64X2  $0x88, t7, t5, r5; \
	VSHUFI64X2  $0xdd, t6, t4, r6; \
	VSHUFI64X2  $0xdd, t7, t5, r7; \
	VSHUFI64X2  $0x88, r4, r0, t0; \
	VSHUFI64X2  $0x88, r5, r1, t1; \
	VSHUFI64X2  $0x88, r6, r2, t2; \
	VSHUFI64X2  $0x88, r7, r3, t3; \
	VSHUFI64X2  $0xdd, r4, r0, t4; \
	VSHUFI64X2  $0xdd, r5, r1, t5; \
	VSHUFI64X2  $0xdd, r6, r2, t6; \
	VSHUFI64X2  $0xdd, r7, r3, t7

// ADD computes a += b + 2 * low(a) * low(b), where low is the lower half of a word.
#define ADD(a, b, t) \
	VPMULUDQ a, b, t; \
	VPADDQ   b, a, a; \
	VPADDQ   t, t, t; \
	VPADDQ   t, a, a

// STEP computes ADD(a, b) and then rotates d ^ a to the right by n bits, for four words each.
#define STEP(n, a0, a1, a2, a3, b0, b1, b2, b3, d0, d1, d2, d3, t0, t1, t2, t3) \
	ADD(a0, b0, t0); \
	ADD(a1, b1, t1); \
	ADD(a2, b2, t2); \
	ADD(a3, b3, t3); \
	VPXORQ a0, d0, d0; \
	VPXORQ a1, d1, d1; \
	VPXORQ a2, d2, d2; \
	VPXORQ a3, d3, d3; \
	VPRORQ $n, d0, d0; \
	VPRORQ $n, d1, d1; \
	VPRORQ $n, d2, d2; \
	VPRORQ $n, d3, d3

// QUARTERS is the function GB of the RFC for four times four words.
#define QUARTERS(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, t0, t1, t2, t3) \
	STEP(32, a0, a1, a2, a3, b0, b1, b2, b3, d0, d1, d2, d3, t0, t1, t2, t3); \
	STEP(24, c0, c1, c2, c3, d0, d1, d2, d3, b0, b1, b2, b3, t0, t1, t2, t3); \
	STEP(16, a0, a1, a2, a3, b0, b1, b2, b3, d0, d1, d2, d3, t0, t1, t2, t3); \
	STEP(63, c0, c1, c2, c3, d0, d1, d2, d3, b0, b1, b2, b3, t0, t1, t2, t3)

// PERMUTE is the permutation P of sixteen words: GB on the columns of their 4 x 4 matrix,
// and then on its diagonals.
#define PERMUTE(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, t0, t1, t2, t3) \
	QUARTERS(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, t0, t1, t2, t3); \
	QUARTERS(v0, v1, v2, v3, v5, v6, v7, v4, v10, v11, v8, v9, v15, v12, v13, v14, t0, t1, t2, t3)

// LOAD reads the words of a ^ b at an offset, for a in SI and b in DX.
#define LOAD(offset, r) \
	VMOVDQU64 offset(SI), r; \
	VPXORQ    offset(DX), r, r

// STORE writes the row at an offset, whose words of even and odd number are in two registers. Z0
// and Z1 contain the order of the words in its two halves. K1 says whether to add the old row.
#define STORE(offset, even, odd) \
	VMOVDQA64 Z0, Z2; \
	VMOVDQA64 Z1, Z3; \
	VPERMI2Q  odd, even, Z2; \
	VPERMI2Q  odd, even, Z3; \
	VPXORQ    offset(SI), Z2, Z2; \
	VPXORQ    (offset+64)(SI), Z3, Z3; \
	VPXORQ    offset(DX), Z2, Z2; \
	VPXORQ    (offset+64)(DX), Z3, Z3; \
	VPXORQ    offset(DI), Z2, K1, Z2; \
	VPXORQ    (offset+64)(DI), Z3, K1, Z3; \
	VMOVDQU64 Z2, offset(DI); \
	VMOVDQU64 Z3, (offset+64)(DI)

DATA ·order<>+0(SB)/8, $0
DATA ·order<>+8(SB)/8, $8
DATA ·order<>+16(SB)/8, $1
DATA ·order<>+24(SB)/8, $9
DATA ·order<>+32(SB)/8, $2
DATA ·order<>+40(SB)/8, $10
DATA ·order<>+48(SB)/8, $3
DATA ·order<>+56(SB)/8, $11
DATA ·order<>+64(SB)/8, $4
DATA ·order<>+72(SB)/8, $12
DATA ·order<>+80(SB)/8, $5
DATA ·order<>+88(SB)/8, $13
DATA ·order<>+96(SB)/8, $6
DATA ·order<>+104(SB)/8, $14
DATA ·order<>+112(SB)/8, $7
DATA ·order<>+120(SB)/8, $15
GLOBL ·order<>(SB), RODATA|NOPTR, $128

// func compressAVX512(out, a, b *block, add bool)
TEXT ·compressAVX512(SB), NOSPLIT, $0-25
	MOVQ    out+0(FP), DI
	MOVQ    a+8(FP), SI
	MOVQ    b+16(FP), DX
	MOVBLZX add+24(FP), AX
	NEGL    AX
	KMOVW   AX, K1

	LOAD(0, Z16)
	LOAD(128, Z17)
	LOAD(256, Z18)
	LOAD(384, Z19)
	LOAD(512, Z20)
	LOAD(640, Z21)
	LOAD(768, Z22)
	LOAD(896, Z23)
	TRANSPOSE(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)

	LOAD(64, Z16)
	LOAD(192, Z17)
	LOAD(320, Z18)
	LOAD(448, Z19)
	LOAD(576, Z20)
	LOAD(704, Z21)
	LOAD(832, Z22)
	LOAD(960, Z23)
	TRANSPOSE(Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15)

	// Z0 to Z15 are the sixteen words of the rows.
	PERMUTE(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, Z16, Z17, Z18, Z19)

	TRANSPOSE(Z0, Z2, Z4, Z6, Z8, Z10, Z12, Z14, Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23)
	TRANSPOSE(Z1, Z3, Z5, Z7, Z9, Z11, Z13, Z15, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31)

	// Z16 and Z24, Z17 and Z25, … are the sixteen words of the columns.
	PERMUTE(Z16, Z24, Z17, Z25, Z18, Z26, Z19, Z27, Z20, Z28, Z21, Z29, Z22, Z30, Z23, Z31, Z0, Z1, Z2, Z3)

	VMOVDQU64 ·order<>+0(SB), Z0
	VMOVDQU64 ·order<>+64(SB), Z1
	STORE(0, Z16, Z24)
	STORE(128, Z17, Z25)
	STORE(256, Z18, Z26)
	STORE(384, Z19, Z27)
	STORE(512, Z20, Z28)
	STORE(640, Z21, Z29)
	STORE(768, Z22, Z30)
	STORE(896, Z23, Z31)
	VZEROUPPER
	RET
