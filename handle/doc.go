// Package handle makes, splits, prints and parses what processes send each other: the 8 bytes that name an array, the 16
// bytes that hand it over, the record that describes a view of it, and a message that holds all of these. It touches no
// shared memory: whether a handle leads to anything is the pool's to know.
//
// Vocabulary:
//
//   - A [Handle] names an array of one segment: the place of its descriptor and the generation of that descriptor. It keeps
//     nothing alive.
//   - A [Ticket] names one transfer in flight. It keeps the array alive until somebody adopts it, once.
//   - A [Transfer] is a handle and a ticket: the 16 bytes that are sent when both sides know the segment.
//   - A [Segment] is the random id of a segment.
//   - A [View] tells which part of an array is meant and how it is to be seen: offset, element type, shape, strides.
//   - A [Message] is the long form, which names its segment. Its binary form is a frame, which tells its own length.
//
// All binary forms are little-endian and have one encoding per value. Whatever was decoded without an error encodes to
// the same bytes, and so does text. Decoding never panics and takes bounded memory, whatever the bytes are.
//
// Values of this package may be used by any number of goroutines as long as nobody changes them; an [Encoder] and a
// [Decoder] belong to one goroutine at a time.
package handle
