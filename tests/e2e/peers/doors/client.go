// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var any = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

type client struct{ *grpc.ClientConn }

func in(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	time.AfterFunc(d+time.Minute, cancel)
	return ctx
}

func pattern(size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(i % 251)
	}
	return out
}

func codeOf(err error) int { return int(status.Code(err)) }

func failure(err error) string {
	return fmt.Sprintf("%d: %s", codeOf(err), status.Convert(err).Message())
}

func (c client) call(ctx context.Context, name string, message []byte,
	options ...grpc.CallOption) ([]byte, error) {
	var reply []byte
	err := c.Invoke(ctx, service+name, &message, &reply, options...)
	return reply, err
}

func (c client) stream(ctx context.Context, name string) grpc.ClientStream {
	s, err := c.NewStream(ctx, any, service+name)
	if err != nil {
		panic(err)
	}
	return s
}

func (c client) streams(ctx context.Context, count int, name string) []grpc.ClientStream {
	streams := make([]grpc.ClientStream, count)
	for i := range streams {
		streams[i] = c.stream(ctx, name)
	}
	return streams
}

// One message on each, and how many of them come back.
func echoes(streams []grpc.ClientStream, word string) int {
	good := 0
	for _, s := range streams {
		write(s, []byte(word))
	}
	for _, s := range streams {
		if reply, err := read(s); err == nil && string(reply) == word {
			good++
		}
	}
	return good
}

// Half-close, and read to the end.
func end(s grpc.ClientStream) int {
	s.CloseSend()
	for {
		if _, err := read(s); err == io.EOF {
			return 0
		} else if err != nil {
			return codeOf(err)
		}
	}
}

func ended(streams []grpc.ClientStream) int {
	good := 0
	for _, s := range streams {
		if end(s) == 0 {
			good++
		}
	}
	return good
}

func same(reply []byte, err error, message []byte) string {
	if err != nil {
		return failure(err)
	}
	if bytes.Equal(reply, message) {
		return "same"
	}
	return "different"
}

func (c client) unary() string {
	everything := make([]byte, 256)
	for i := range everything {
		everything[i] = byte(i)
	}
	ctx := metadata.AppendToOutgoingContext(in(20*time.Second), "door", "front", "door", "second",
		"door-bin", "\x00\xff", "door-bin", "a", "door-bin", "ab", "door-bin", string(everything))
	var first, last metadata.MD
	reply, err := c.call(ctx, "Get", []byte("front"), grpc.Header(&first), grpc.Trailer(&last))
	if err != nil {
		return failure(err)
	}
	var echoed []string
	for _, value := range first["echo-bin"] {
		echoed = append(echoed, hex.EncodeToString([]byte(value)))
	}
	return strings.Join([]string{string(reply), strings.Join(first["echo"], ", "),
		strings.Join(echoed, ","), last["left"][0], hex.EncodeToString([]byte(last["left-bin"][0]))}, " ")
}

func (c client) watch(count int) string {
	s := c.stream(in(time.Minute), "Watch")
	write(s, []byte(strconv.Itoa(count)))
	s.CloseSend()
	for good := 0; ; good++ {
		reply, err := read(s)
		if err == io.EOF {
			return strconv.Itoa(good)
		}
		if err != nil || string(reply) != strconv.Itoa(good) {
			return fmt.Sprint(good, " then ", string(reply), err)
		}
	}
}

func (c client) count(count int) string {
	s := c.stream(in(time.Minute), "Count")
	for i := 0; i < count; i++ {
		write(s, pattern(70000))
	}
	s.CloseSend()
	reply, err := read(s)
	if err != nil {
		return failure(err)
	}
	return string(reply)
}

func (c client) talk(count int) string {
	streams := c.streams(in(time.Minute), 1, "Talk")
	good := 0
	for i := 0; i < count; i++ {
		good += echoes(streams, fmt.Sprint("word ", i))
	}
	return fmt.Sprint(good, end(streams[0]))
}

func (c client) deniedStream() string {
	s := c.stream(in(20*time.Second), "Open")
	for i := 0; i < 5; i++ {
		write(s, pattern(70000)) // it may have ended already
	}
	s.CloseSend()
	reply, err := read(s)
	if err == nil {
		return fmt.Sprintf("a message of %d bytes", len(reply))
	}
	return failure(err)
}

func (c client) fail() string {
	var last metadata.MD
	_, err := c.call(in(20*time.Second), "Fail", nil, grpc.Trailer(&last))
	return failure(err) + " " + hex.EncodeToString([]byte(strings.Join(last["why-bin"], "")))
}

func (c client) deadline(milliseconds int) string {
	left, err := c.call(in(20*time.Second), "Left", nil)
	if err != nil {
		return failure(err)
	}
	_, err = c.call(in(time.Duration(milliseconds)*time.Millisecond), "Slow", nil)
	return fmt.Sprint(string(left), " ", codeOf(err))
}

// Streams on which the server has said something, and a call that it may not even know.
func (c client) cancel(count int) string {
	ctx, cancel := context.WithCancel(context.Background())
	streams := c.streams(ctx, count, "Hold")
	held := 0
	for _, s := range streams {
		if reply, err := read(s); err == nil && string(reply) == "held" {
			held++
		}
	}
	cancel()
	found := map[int]bool{}
	for _, s := range streams {
		_, err := read(s)
		found[codeOf(err)] = true
	}
	gone, err := c.call(in(20*time.Second), "Gone", []byte(strconv.Itoa(count)))
	if err != nil {
		return failure(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = c.call(ctx, "Slow", nil)
	found[codeOf(err)] = true
	var all []int
	for code := range found {
		all = append(all, code)
	}
	sort.Ints(all)
	return fmt.Sprintf("%d %s %s", held, gone, strings.Trim(fmt.Sprint(all), "[]"))
}

// Streams that are all open at once.
func (c client) many(count int) string {
	streams := c.streams(in(2*time.Minute), count, "Talk")
	good := echoes(streams, "one") + echoes(streams, "two")
	return fmt.Sprint(good, ended(streams))
}

func trues(from chan bool, count int) int {
	n := 0
	for i := 0; i < count; i++ {
		if <-from {
			n++
		}
	}
	return n
}

// Allowed and denied calls at once, while five streams are open.
func (c client) mixed(count int) string {
	ctx := in(time.Minute)
	streams := c.streams(ctx, 5, "Talk")
	live := echoes(streams, "before")
	good, denied := make(chan bool, count), make(chan bool, count)
	for n := 0; n < count; n++ {
		go func(n int) {
			name, word := []string{"Get", "Open"}[n%2], []byte(strconv.Itoa(n))
			growing := metadata.AppendToOutgoingContext(ctx, "growing",
				strings.Repeat(strconv.Itoa(n%70), 20))
			reply, err := c.call(growing, name, word)
			if n%2 == 0 {
				good <- err == nil && bytes.Equal(reply, word)
			} else {
				denied <- codeOf(err) == 7
			}
		}(n)
	}
	live += echoes(streams, "meanwhile")
	goods, denials := trues(good, (count+1)/2), trues(denied, count/2)
	live += echoes(streams, "after")
	return fmt.Sprint(goods, denials, live+ended(streams))
}

// Says on standard error when the policy may change; it has to take Hold away then.
func (c client) revoked() string {
	ctx := in(time.Minute)
	talk, hold := c.streams(ctx, 1, "Talk"), c.stream(ctx, "Hold")
	good := echoes(talk, "before")
	read(hold)
	fmt.Fprintln(os.Stderr, "holding")
	_, err := read(hold)
	_, again := read(c.stream(ctx, "Hold"))
	gone, _ := c.call(ctx, "Gone", []byte("1"))
	good += echoes(talk, "after")
	return fmt.Sprint(codeOf(err), " ", codeOf(again), " ", string(gone), " ", good, " ", end(talk[0]))
}

// Calls without a pause, on whatever connections. Returns how many had a wrong end.
func (c client) steady(milliseconds int) string {
	wrong := 0
	until := time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
	for time.Now().Before(until) {
		results := make(chan bool)
		for n := 0; n < 6; n++ {
			go func(n int) {
				_, err := c.call(in(20*time.Second), []string{"Get", "Open"}[n%2], []byte("steady"))
				results <- codeOf(err) != 7*(n%2)
			}(n)
		}
		wrong += trues(results, 6)
	}
	return strconv.Itoa(wrong)
}

func (c client) idle(seconds int) string {
	streams := c.streams(in(time.Duration(seconds+60)*time.Second), 1, "Talk")
	good := echoes(streams, "before")
	time.Sleep(time.Duration(seconds) * time.Second)
	good += echoes(streams, "after")
	return fmt.Sprint(good, end(streams[0]))
}

func (c client) do(name string, n int) string {
	switch name {
	case "unary":
		return c.unary()
	case "watch":
		return c.watch(n)
	case "count":
		return c.count(n)
	case "talk":
		return c.talk(n)
	case "denied":
		_, err := c.call(in(20*time.Second), "Open", []byte("vault"))
		return failure(err)
	case "denied_stream":
		return c.deniedStream()
	case "fail":
		return c.fail()
	case "unknown":
		_, err := c.call(in(20*time.Second), "Paint", nil)
		return strconv.Itoa(codeOf(err))
	case "deadline":
		return c.deadline(n)
	case "cancel":
		return c.cancel(n)
	case "large":
		reply, err := c.call(in(2*time.Minute), "Get", pattern(n))
		return same(reply, err, pattern(n))
	case "many":
		return c.many(n)
	case "mixed":
		return c.mixed(n)
	case "gzip":
		reply, err := c.call(in(20*time.Second), "Pack", pattern(n),
			grpc.UseCompressor(gzip.Name))
		return same(reply, err, pattern(n))
	case "revoked":
		return c.revoked()
	case "steady":
		return c.steady(n)
	case "idle":
		return c.idle(n)
	}
	return "not known here"
}

func call(port string, asked []string) error {
	conn, err := grpc.Dial("127.0.0.1:"+port, grpc.WithInsecure(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true}))
	if err != nil {
		return err
	}
	defer conn.Close()
	results := map[string]string{}
	for _, word := range asked {
		parts := strings.SplitN(word+"=0", "=", 3)
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			return err
		}
		began := time.Now()
		results[parts[0]] = client{conn}.do(parts[0], n)
		fmt.Fprintf(os.Stderr, "%s %.2f s\n", parts[0], time.Since(began).Seconds())
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func main() {
	encoding.RegisterCodec(plain{})
	var err error
	if os.Args[1] == "serve" {
		asked := strings.Join(os.Args[2:], " ")
		err = serve(strings.Contains(asked, "deny"), strings.Contains(asked, "age"))
	} else {
		err = call(os.Args[2], os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
