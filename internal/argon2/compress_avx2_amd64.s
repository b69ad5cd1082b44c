#include "textflag.h"

// The compression function G of RFC 9106, section 3.5, for CPUs with AVX2 but without AVX-512. A
// block is a matrix of 8 rows with 16 words each. G applies the permutation P to each row, and then
// to each column, which is two words wide and also has 16 words.
//
// P sees its sixteen words as a matrix of 4 x 4 words, with the rows a, b, c and d. For a row of the
// block, a register holds one of these rows, and two rows of the block are permuted at once. For
// columns, a register holds half of such a row of two columns, one in each 128-bit lane.
//
// Y14 and Y15 contain the order of the bytes of a word that is rotated by 24 and by 16 bits.

// ADD computes a += b + 2 * low(a) * low(b), where low is the lower half of a word.
#define ADD(a, b, t) \
	VPMULUDQ a, b, t; \
	VPADDQ   b, a, a; \
	VPADDQ   t, t, t; \
	VPADDQ   t, a, a

// GB is the function GB of the RFC for two registers of each row.
#define GB(a0, a1, b0, b1, c0, c1, d0, d1) \
	ADD(a0, b0, Y8); \
	ADD(a1, b1, Y9); \
	VPXOR   a0, d0, d0; \
	VPXOR   a1, d1, d1; \
	VPSHUFD $0xb1, d0, d0; \
	VPSHUFD $0xb1, d1, d1; \
	ADD(c0, d0, Y8); \
	ADD(c1, d1, Y9); \
	VPXOR   c0, b0, b0; \
	VPXOR   c1, b1, b1; \
	VPSHUFB Y14, b0, b0; \
	VPSHUFB Y14, b1, b1; \
	ADD(a0, b0, Y8); \
	ADD(a1, b1, Y9); \
	VPXOR   a0, d0, d0; \
	VPXOR   a1, d1, d1; \
	VPSHUFB Y15, d0, d0; \
	VPSHUFB Y15, d1, d1; \
	ADD(c0, d0, Y8); \
	ADD(c1, d1, Y9); \
	VPXOR   c0, b0, b0; \
	VPXOR   c1, b1, b1; \
	VPADDQ  b0, b0, Y8; \
	VPADDQ  b1, b1, Y9; \
	VPSRLQ  $63, b0, b0; \
	VPSRLQ  $63, b1, b1; \
	VPXOR   Y8, b0, b0; \
	VPXOR   Y9, b1, b1

// LOAD reads four words of a ^ b at an offset, for a in SI and b in DX.
#define LOAD(offset, r) \
	VMOVDQU offset(SI), r; \
	VPXOR   offset(DX), r, r

// STORE writes four words at an offset: the permuted ones, a ^ b and, where Y13 has ones, the old
// words.
#define STORE(offset, r) \
	VPAND   offset(DI), Y13, Y8; \
	VPXOR   offset(SI), r, r; \
	VPXOR   offset(DX), Y8, Y8; \
	VPXOR   Y8, r, r; \
	VMOVDQU r, offset(DI)

DATA ·rotate24<>+0(SB)/8, $0x0201000706050403
DATA ·rotate24<>+8(SB)/8, $0x0a09080f0e0d0c0b
DATA ·rotate24<>+16(SB)/8, $0x0201000706050403
DATA ·rotate24<>+24(SB)/8, $0x0a09080f0e0d0c0b
GLOBL ·rotate24<>(SB), RODATA|NOPTR, $32

DATA ·rotate16<>+0(SB)/8, $0x0100070605040302
DATA ·rotate16<>+8(SB)/8, $0x09080f0e0d0c0b0a
DATA ·rotate16<>+16(SB)/8, $0x0100070605040302
DATA ·rotate16<>+24(SB)/8, $0x09080f0e0d0c0b0a
GLOBL ·rotate16<>(SB), RODATA|NOPTR, $32

// func compressAVX2(out, a, b *block, add bool)
TEXT ·compressAVX2(SB), 0, $1024-25
	MOVQ    out+0(FP), DI
	MOVQ    a+8(FP), SI
	MOVQ    b+16(FP), DX
	MOVBQZX add+24(FP), AX
	NEGQ    AX
	MOVQ    AX, X13
	VPBROADCASTQ X13, Y13
	VMOVDQU ·rotate24<>(SB), Y14
	VMOVDQU ·rotate16<>(SB), Y15

	// The rows, two at a time, from a ^ b to the stack.
	LEAQ 0(SP), BX
	MOVQ $4, CX

rows:
	LOAD(0, Y0)
	LOAD(32, Y2)
	LOAD(64, Y4)
	LOAD(96, Y6)
	LOAD(128, Y1)
	LOAD(160, Y3)
	LOAD(192, Y5)
	LOAD(224, Y7)
	GB(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)

	// The diagonals of the 4 x 4 matrix become its columns, and back.
	VPERMQ $0x39, Y2, Y2
	VPERMQ $0x39, Y3, Y3
	VPERMQ $0x4e, Y4, Y4
	VPERMQ $0x4e, Y5, Y5
	VPERMQ $0x93, Y6, Y6
	VPERMQ $0x93, Y7, Y7
	GB(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)
	VPERMQ $0x93, Y2, Y2
	VPERMQ $0x93, Y3, Y3
	VPERMQ $0x4e, Y4, Y4
	VPERMQ $0x4e, Y5, Y5
	VPERMQ $0x39, Y6, Y6
	VPERMQ $0x39, Y7, Y7

	VMOVDQU Y0, 0(BX)
	VMOVDQU Y2, 32(BX)
	VMOVDQU Y4, 64(BX)
	VMOVDQU Y6, 96(BX)
	VMOVDQU Y1, 128(BX)
	VMOVDQU Y3, 160(BX)
	VMOVDQU Y5, 192(BX)
	VMOVDQU Y7, 224(BX)
	ADDQ $256, SI
	ADDQ $256, DX
	ADDQ $256, BX
	DECQ CX
	JNZ  rows

	// The columns, two at a time, from the stack to out.
	SUBQ $1024, SI
	SUBQ $1024, DX
	SUBQ $1024, BX
	MOVQ $4, CX

columns:
	VMOVDQU 0(BX), Y0
	VMOVDQU 128(BX), Y1
	VMOVDQU 256(BX), Y2
	VMOVDQU 384(BX), Y3
	VMOVDQU 512(BX), Y4
	VMOVDQU 640(BX), Y5
	VMOVDQU 768(BX), Y6
	VMOVDQU 896(BX), Y7
	GB(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7)

	// The diagonals become columns, and back. Row c needs no instruction: its halves swap names.
	VPALIGNR $8, Y2, Y3, Y8
	VPALIGNR $8, Y3, Y2, Y3
	VMOVDQA  Y8, Y2
	VPALIGNR $8, Y7, Y6, Y8
	VPALIGNR $8, Y6, Y7, Y7
	VMOVDQA  Y8, Y6
	GB(Y0, Y1, Y2, Y3, Y5, Y4, Y6, Y7)
	VPALIGNR $8, Y3, Y2, Y8
	VPALIGNR $8, Y2, Y3, Y3
	VMOVDQA  Y8, Y2
	VPALIGNR $8, Y6, Y7, Y8
	VPALIGNR $8, Y7, Y6, Y7
	VMOVDQA  Y8, Y6

	STORE(0, Y0)
	STORE(128, Y1)
	STORE(256, Y2)
	STORE(384, Y3)
	STORE(512, Y4)
	STORE(640, Y5)
	STORE(768, Y6)
	STORE(896, Y7)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, DI
	ADDQ $32, BX
	DECQ CX
	JNZ  columns
	VZEROUPPER
	RET
