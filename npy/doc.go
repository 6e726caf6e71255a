// Package npy reads and writes NumPy's files: .npy, one array, and .npz, a zip archive of them.
//
// An array is read straight into its block in the pool and written straight from it: no copy of it is made on the way.
//
//	a, err := npy.Load(p, "frame.npy") // release it once
//	err = npy.Save("copy.npy", a)
//
// The format is NumPy's: NEP 1, https://numpy.org/neps/nep-0001-npy-format.html, with its later versions as
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html tells them. A file is
//
//	"\x93NUMPY", major, minor    8 bytes; versions 1.0, 2.0 and 3.0
//	bytes of the header          2 bytes in version 1.0, else 4; little endian
//	header                       a Python dictionary, padded with spaces and a newline to a multiple of 64 bytes of file
//	elements                     without gaps, in C order or in Fortran order
//
// The header is text in Latin-1, in version 3.0 in UTF-8, and has the keys descr, fortran_order and shape. What numpy.save
// writes for an array, Write writes to the byte.
//
// Files may come from anywhere. A header is read by a scanner that knows nothing but what a header may hold, and every
// number is checked before it is used. Python objects are refused without a look at their pickle. What the file claims
// to hold is compared with its size, where that is known, before memory is taken for it.
//
// Not kept: the titles of fields, which are refused, and the attributes of names. A structured type whose fields overlap, or
// do not come in the order of their offsets, has no description in the format; numpy cannot save it either.
package npy
