package argon2

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// useHugePages asks Linux to back blocks, which were not used yet, with huge pages. A hash visits
// them in random order, and they have more pages of 4 KiB than a TLB has entries. An error is
// ignored: the memory works without huge pages, and a small one does not begin with a page.
func useHugePages(blocks []block) {
	size := len(blocks) * int(unsafe.Sizeof(block{}))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(blocks))), size) //nolint:gosec // the same memory as bytes
	_ = unix.Madvise(bytes, unix.MADV_HUGEPAGE)
}
