package driver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// Of the protocol between a client and the server: how long the head of a packet is, and what its content begins with.
const (
	headLength = 4
	codeOK     = 0x00
	codeEnd    = 0xfe // behind the columns, and behind the rows
	codeError  = 0xff
	// endLength is how long the content of an end is that is not an OK packet at the same time. An OK packet is longer.
	endLength = 5
)

// Commands.
const (
	commandQuery   = 0x03
	commandPing    = 0x0e
	commandPrepare = 0x16
	commandExecute = 0x17
)

// bufferSize is more than any packet of an answer takes.
const bufferSize = 4 << 10

// errPacket is returned for bytes that are no answer to the command.
var errPacket = errors.New("driver: not an answer of the protocol of MySQL")

// refusal is what the server says in place of an answer. The session goes on.
type refusal string

func (r refusal) Error() string { return string(r) }

// packets writes commands to a connection that is logged in, and takes the packets of their answers. It allocates nothing for
// them.
type packets struct {
	net.Conn
	out            []byte // the command, with the head of its packet
	in             []byte // what has come: that from from to to is not taken yet
	from, to       int
	number         byte  // of the packet that is next
	sent, received int64 // bytes since the command
	whole          bool  // all of the command was written
}

// command begins a command with its code; what belongs to it is appended to out.
func (p *packets) command(code byte) { p.out = append(p.out[:0], 0, 0, 0, 0, code) }

// send writes the command. What came after the last answer is no part of the next one.
func (p *packets) send() error {
	p.sent, p.received, p.whole = 0, 0, false
	if p.from != p.to {
		return errPacket
	}
	length := len(p.out) - headLength
	p.out[0], p.out[1], p.out[2] = byte(length), byte(length>>8), byte(length>>16)
	p.from, p.to, p.number = 0, 0, 1
	n, err := p.Conn.Write(p.out)
	p.sent, p.whole = int64(n), err == nil
	return err
}

// take returns the content of the next packet, at least one byte, which is good until the next call. That of an error is returned
// as a refusal.
func (p *packets) take() ([]byte, error) {
	if err := p.fill(headLength); err != nil {
		return nil, err
	}
	head := p.in[p.from : p.from+headLength]
	length, number := int(head[0])|int(head[1])<<8|int(head[2])<<16, head[3]
	if length == 0 || length > len(p.in)-headLength {
		return nil, errPacket
	}
	if err := p.fill(headLength + length); err != nil {
		return nil, err
	}
	begin := p.from + headLength
	p.from = begin + length
	content := p.in[begin:p.from]
	if content[0] == codeError { // which a server that ends the session also sends without a command
		return nil, refusalOf(content)
	}
	if number != p.number {
		return nil, errPacket
	}
	p.number++
	return content, nil
}

// fill reads until that many bytes are there that are not taken.
func (p *packets) fill(n int) error {
	if p.from+n > len(p.in) {
		p.to = copy(p.in, p.in[p.from:p.to])
		p.from = 0
	}
	for p.to-p.from < n {
		got, err := p.Conn.Read(p.in[p.to:])
		p.to += got
		p.received += int64(got)
		if err != nil && p.to-p.from < n {
			return err
		}
	}
	return nil
}

// refusalOf is what an error packet says: a number, a state of five characters, and a text.
func refusalOf(content []byte) error {
	const stateLength = len("#HY000")
	if len(content) < 3 {
		return errPacket
	}
	number, text := binary.LittleEndian.Uint16(content[1:]), content[3:]
	if len(text) >= stateLength && text[0] == '#' {
		text = text[stateLength:]
	}
	return refusal(fmt.Sprintf("error %d: %s", number, text))
}
