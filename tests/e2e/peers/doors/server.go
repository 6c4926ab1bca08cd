// SPDX-License-Identifier: Apache-2.0

// The service of doors, as doors.py has it, on grpc-go.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const service = "/doors.Manager/"

// Messages are bytes.
type plain struct{}

func (plain) Name() string                          { return "proto" }
func (plain) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func read(s grpc.Stream) ([]byte, error) {
	var message []byte
	err := s.RecvMsg(&message)
	return message, err
}

func write(s grpc.Stream, message []byte) error { return s.SendMsg(&message) }

type doors struct {
	deny bool
	gone int64
}

func (d *doors) handle(_ interface{}, s grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(s)
	method := strings.TrimPrefix(path, service)
	switch method {
	case "Talk":
		return talk(s)
	case "Count":
		return count(s)
	case "Hold":
		return d.hold(s)
	case "Open":
		if d.deny {
			return status.Error(codes.PermissionDenied, "Access denied")
		}
		return talk(s)
	}
	message, err := read(s)
	if err != nil {
		return err
	}
	return d.handleOne(method, message, s)
}

func (d *doors) handleOne(method string, message []byte, s grpc.ServerStream) error {
	switch method {
	case "Get":
		return get(s, message)
	case "Pack": // goes back as it came: compressed
		return write(s, message)
	case "Watch":
		return watch(s, message)
	case "Fail":
		s.SetTrailer(metadata.Pairs("why-bin", "\x00\xff"))
		return status.Error(codes.NotFound, "no such door: é, 100%")
	case "Left":
		return left(s)
	case "Slow":
		return over(s)
	case "Gone":
		return d.waitForGone(s, message)
	}
	return status.Error(codes.Unimplemented, "unknown method "+method)
}

func get(s grpc.ServerStream, message []byte) error {
	came, _ := metadata.FromIncomingContext(s.Context())
	s.SetHeader(metadata.MD{"echo": came["door"], "echo-bin": came["door-bin"]})
	s.SetTrailer(metadata.Pairs("left", "yes", "left-bin", "\x00\x01\x02"))
	return write(s, message)
}

func watch(s grpc.ServerStream, message []byte) error {
	n, err := strconv.Atoi(string(message))
	for i := 0; i < n && err == nil; i++ {
		err = write(s, []byte(strconv.Itoa(i)))
	}
	return err
}

func count(s grpc.ServerStream) error {
	for sum := 0; ; {
		message, err := read(s)
		if err == io.EOF {
			return write(s, []byte(strconv.Itoa(sum)))
		}
		if err != nil {
			return err
		}
		sum += len(message)
	}
}

func talk(s grpc.ServerStream) error {
	for {
		message, err := read(s)
		if err == nil {
			err = write(s, message)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// The caller has gone.
func over(s grpc.ServerStream) error {
	<-s.Context().Done()
	return status.FromContextError(s.Context().Err()).Err()
}

func left(s grpc.ServerStream) error {
	deadline, ok := s.Context().Deadline()
	left := time.Until(deadline)
	if ok && left > 5*time.Second && left <= 30*time.Second {
		return write(s, []byte("yes"))
	}
	return write(s, []byte("no"))
}

func (d *doors) hold(s grpc.ServerStream) error {
	defer atomic.AddInt64(&d.gone, 1)
	if err := write(s, []byte("held")); err != nil {
		return err
	}
	return over(s)
}

func (d *doors) waitForGone(s grpc.ServerStream, message []byte) error {
	wanted, err := strconv.ParseInt(string(message), 10, 64)
	for err == nil && atomic.LoadInt64(&d.gone) < wanted {
		time.Sleep(10 * time.Millisecond)
		err = s.Context().Err()
	}
	if err != nil {
		return err
	}
	return write(s, []byte(strconv.FormatInt(atomic.LoadInt64(&d.gone), 10)))
}

func serve(deny, age bool) error {
	alive := keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 20 * time.Second}
	if age {
		alive.MaxConnectionAge = 500 * time.Millisecond
	}
	d := &doors{deny: deny}
	server := grpc.NewServer(grpc.UnknownServiceHandler(d.handle),
		grpc.MaxRecvMsgSize(1<<30),
		grpc.KeepaliveParams(alive),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: 5 * time.Second, PermitWithoutStream: true}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}
