// Package coding is the erasure code under which a byte string travels in pieces, and the
// Merkle trees that let each piece be checked by itself.
//
// # Code
//
// A string stands in symbols, all of one size: 128 bytes for strings up to 2 MiB, and
// twice as much for each doubling beyond, so that there are never more than 32,769. It is
// filled up with zeros to whole leaves of 1 KiB (one symbol, where that is larger), which
// gives k symbols of data. Reed–Solomon over GF(2^16) makes m symbols of parity of them, of
// which any k of the k + m rebuild the rest. The code is systematic, and the one of the
// library Leopard-RS (Lin, Al-Naffouri, Han and Chung, "Novel Polynomial Basis With Fast
// Fourier Transform and Its Application to Reed–Solomon Erasure Codes", IEEE Transactions on
// Information Theory 62, 2016), as github.com/klauspost/reedsolomon computes it; vectors
// hold it in the tests. With N the power of two that is not below k + ⌈k/3⌉, m is the
// largest power of two that is not above N − k: at least about a third of k, and the largest
// for which the work of rebuilding, transforms of N symbols, does not double.
//
// # Items
//
// A string of items of different sizes, of which a receiver may have some already, is laid
// out so that what lacks costs few symbols: an item begins where the last one ended, if it
// ends in that same symbol, and at the next symbol otherwise; between them are zeros. Bytes
// that follow each other without that are a string too.
//
// # Trees
//
// Leaves are numbered through, data first. A leaf's hash is SHA-256 of a zero byte, its
// number and the count of all leaves (4 bytes each, big-endian), and its bytes; a node's is
// that of a byte of one and both below it. The leaves of data and those of parity have a
// tree each, which is perfect: where there is no leaf its place is taken by 32 zero bytes,
// as is that of a node with nothing below. The root is SHA-256 of a domain and the roots of
// both trees. Leaves that are all of one node are a span, which one proof is enough for: the
// siblings on the way up.
package coding
