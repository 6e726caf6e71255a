package handle_test

import (
	"fmt"
	"os"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

func ExampleNew() {
	h := handle.New(0x1234, 7)
	fmt.Println(h, h.Granule() == 0x1234, h.Generation())
	// Output: 0000000700001234 true 7
}

func ExampleTransfer() {
	sent := handle.Transfer{Handle: handle.New(0x1234, 7), Ticket: handle.NewTicket(2, 99)}
	b, _ := sent.MarshalBinary() // 16 bytes for a pipe, a queue, a socket

	var got handle.Transfer
	err := got.UnmarshalBinary(b)
	fmt.Println(len(b), got, err)
	// Output: 16 0000000700001234:0000006300000002 <nil>
}

func ExampleView_Bounds() {
	backwards := handle.View{Offset: 36, DType: dtype.Float32, Shape: []int{10}, Strides: []int{-4}}
	lo, hi, err := backwards.Bounds()
	fmt.Println(lo, hi, err)
	fmt.Println(backwards.Within(32))
	// Output:
	// 0 40 <nil>
	// handle: check bytes of view: got 0 to 40, expected 0 to 32
}

func ExampleParseMessage() {
	m, err := handle.ParseMessage("ndpool1:000102030405060708090a0b0c0d0e0f:0000000700001234:0000006300000002")
	fmt.Println(m.Segment, m.Handle, m.Ticket, err)
	js, _ := m.MarshalJSON()
	fmt.Println(string(js))
	// Output:
	// 000102030405060708090a0b0c0d0e0f 0000000700001234 0000006300000002 <nil>
	// {"segment":"000102030405060708090a0b0c0d0e0f","handle":"0000000700001234","ticket":"0000006300000002"}
}

func ExampleEncoder() {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	enc := handle.NewEncoder(w)
	err = enc.Encode(handle.Message{Handle: handle.New(0x1234, 7)})
	fmt.Println(err, w.Close())

	dec := handle.NewDecoder(r)
	m, err := dec.Decode()
	fmt.Println(m.Handle, m.Ticket.IsZero(), err)
	_, err = dec.Decode()
	fmt.Println(err)
	// Output:
	// <nil> <nil>
	// 0000000700001234 true <nil>
	// EOF
}
