package media_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc/media"
)

// A file becomes RTP packets, and the packets become a file again.
func ExampleNewRecorder() {
	f, err := os.Open("testdata/vp8.ivf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	reader, err := media.NewIVFReader(f)
	if err != nil {
		fmt.Println(err)
		return
	}
	payloader, err := media.NewPayloader(media.MimeTypeVP8)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	recorder, err := media.NewRecorder(&file, media.MimeTypeVP8)
	if err != nil {
		fmt.Println(err)
		return
	}
	seq := uint16(0)
	for {
		sample, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		payloads := payloader.Payload(1200, sample.Data)
		for i, payload := range payloads {
			pkt := &rtp.Packet{Payload: payload}
			pkt.SequenceNumber, pkt.Timestamp, pkt.Marker = seq, sample.Timestamp, i == len(payloads)-1
			seq++
			if err := recorder.WriteRTP(pkt); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
	if err := recorder.Close(); err != nil {
		fmt.Println(err)
		return
	}
	again, err := media.NewIVFReader(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(again.Header().Width, again.Header().Height)
	// Output: 176 144
}
