package suite

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"bao-kms-provider/conformance/harness"
)

// HTTP/2 by hand: what no client library would send.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	dataFrame         = 0
	headersFrame      = 1
	resetFrame        = 3
	settingsFrame     = 4
	pingFrame         = 6
	windowFrame       = 8
	continuationFrame = 9

	// endStream on DATA and HEADERS, acknowledgement on SETTINGS and PING.
	endStream  = 1
	endHeaders = 4
)

// frame is one frame as bytes.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9, 9+len(payload))
	head[0], head[1], head[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

// setting is one entry of a SETTINGS frame.
func setting(id uint16, value uint32) []byte {
	entry := binary.BigEndian.AppendUint16(nil, id)
	return binary.BigEndian.AppendUint32(entry, value)
}

// headerBlock is HPACK without compression: each name and value is a literal, at most
// 126 bytes long.
func headerBlock(pairs ...string) []byte {
	var block []byte
	for i, text := range pairs {
		if i%2 == 0 {
			block = append(block, 0)
		}
		block = append(block, byte(len(text)))
		block = append(block, text...)
	}
	return block
}

// callHeaders begin a call of a KMS method.
func callHeaders(method string) []byte {
	return headerBlock(":method", "POST", ":scheme", "http", ":path", "/v2.KeyManagementService/"+method,
		":authority", "localhost", "content-type", "application/grpc", "te", "trailers")
}

// statusCall is a whole Status call.
func statusCall(stream uint32) []byte {
	return append(frame(headersFrame, endHeaders, stream, callHeaders("Status")),
		frame(dataFrame, endStream, stream, make([]byte, 5))...)
}

// connect opens a connection and sends first; it is closed with the test at the latest.
func connect(t *testing.T, node *harness.Provider, first ...[]byte) *net.UnixConn {
	t.Helper()
	connection := must1[*net.UnixConn](t)(net.DialUnix("unix", nil, &net.UnixAddr{Name: node.Socket, Net: "unix"}))
	t.Cleanup(func() { _ = connection.Close() })
	for _, bytes := range first {
		pour(connection, bytes, time.Second)
	}
	return connection
}

// greeted is a connection that has sent what a client must.
func greeted(t *testing.T, node *harness.Provider, settings ...[]byte) *net.UnixConn {
	t.Helper()
	var all []byte
	for _, one := range settings {
		all = append(all, one...)
	}
	return connect(t, node, []byte(preface), frame(settingsFrame, 0, 0, all))
}

// pour writes again and again until the pipe is full or closed or the time is over.
// It gives the bytes that went out.
func pour(connection *net.UnixConn, bytes []byte, limit time.Duration) int {
	_ = connection.SetWriteDeadline(time.Now().Add(limit))
	written, _ := connection.Write(bytes)
	return written
}

// hungUp reports whether the other side closes the connection within the time.
func hungUp(connection *net.UnixConn, limit time.Duration) bool {
	_ = connection.SetReadDeadline(time.Now().Add(limit))
	sink := make([]byte, 64<<10)
	for {
		if _, err := connection.Read(sink); err != nil {
			timeout, is := err.(net.Error)
			return !is || !timeout.Timeout()
		}
	}
}
