// Calls by gRPC, by its own client and server, as the faults of a real cluster want them: `calls serve ADDRESS` answers, `calls unary|stream COUNT ADDRESS
// HOST PATIENCE` asks until its input closes, never again what failed, and tells of each call that was lost as `xtask callers` does. What is asked is
// grpc.health.v1: Check is one question, Watch a stream on which the server says something ten times a second.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	health1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	// Between two messages of a stream, and between two questions of a caller.
	pause = 100 * time.Millisecond
	// A stream is ended in order after so long, and the next one begins.
	length = 5 * time.Second
	// The service whose status changes all the time.
	changing = "changing"
)

func main() {
	arguments := os.Args[1:]
	switch {
	case len(arguments) == 2 && arguments[0] == "serve":
		log.Fatal(serve(arguments[1]))
	case len(arguments) == 5 && (arguments[0] == "unary" || arguments[0] == "stream"):
		if err := call(arguments[0] == "stream", arguments[1:]); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatal("calls serve ADDRESS | calls unary|stream COUNT ADDRESS HOST PATIENCE")
	}
}

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	answers := health.NewServer()
	go func() {
		for serving := false; ; serving = !serving {
			time.Sleep(pause)
			now := health1.HealthCheckResponse_NOT_SERVING
			if serving {
				now = health1.HealthCheckResponse_SERVING
			}
			answers.SetServingStatus(changing, now)
		}
	}()
	server := grpc.NewServer()
	health1.RegisterHealthServer(server, answers)
	return server.Serve(listener)
}

// caller asks on one connection, one call after another.
type caller struct {
	client   health1.HealthClient
	patience time.Duration
	stopped  <-chan struct{}
}

// told is what the callers together saw.
type told struct {
	sync.Mutex
	count   int
	slowest time.Duration
	lost    []string
}

func call(streams bool, arguments []string) error {
	count, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	patience, err := strconv.Atoi(arguments[3])
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	var seen told
	var all sync.WaitGroup
	for range count {
		connection, err := grpc.NewClient("passthrough:///"+arguments[1],
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(arguments[2]), grpc.WithDisableRetry())
		if err != nil {
			return err
		}
		defer connection.Close()
		one := caller{health1.NewHealthClient(connection), time.Duration(patience) * time.Second, stopped}
		if err := one.ready(); err != nil {
			return err
		}
		all.Add(1)
		go func() {
			defer all.Done()
			one.calls(streams, &seen)
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(stopped)
	all.Wait()
	for _, line := range seen.lost {
		fmt.Println(line)
	}
	fmt.Printf("%d requests, %d ms the slowest\n", seen.count, seen.slowest.Milliseconds())
	return nil
}

// ready is until the proxy is configured whole.
func (c caller) ready() (err error) {
	for range 300 {
		if _, err = c.ask(); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}

func (c caller) calls(streams bool, seen *told) {
	for {
		began := time.Now()
		act := c.ask
		if streams {
			act = c.watch
		}
		waited, err := act()
		seen.Lock()
		seen.count++
		seen.slowest = max(seen.slowest, waited)
		if err != nil {
			// Who was told nothing gave up by himself.
			code := status.Code(err)
			number := int(code)
			if code == codes.DeadlineExceeded {
				number = 0
			}
			at := float64(began.UnixMilli()) / 1000
			seen.lost = append(seen.lost, fmt.Sprintf("lost at %.3f after %d ms: status %d, %v", at, time.Since(began).Milliseconds(), number, err))
		}
		seen.Unlock()
		select {
		case <-c.stopped:
			return
		case <-time.After(pause):
		}
	}
}

// ask asks once; it gives back how long that took.
func (c caller) ask() (time.Duration, error) {
	context, done := context.WithTimeout(context.Background(), c.patience)
	defer done()
	began := time.Now()
	_, err := c.client.Check(context, &health1.HealthCheckRequest{})
	return time.Since(began), err
}

// watch reads a stream, and gives back how long it was silent at most; nothing for as long as the caller is patient is the same as no answer.
func (c caller) watch() (time.Duration, error) {
	context, done := context.WithCancel(context.Background())
	defer done()
	stream, err := c.client.Watch(context, &health1.HealthCheckRequest{Service: changing})
	if err != nil {
		return 0, err
	}
	begun, silent := time.Now(), time.Duration(0)
	for time.Since(begun) < length {
		select {
		case <-c.stopped:
			return silent, nil
		default:
		}
		since, late := time.Now(), time.AfterFunc(c.patience, done)
		_, err := stream.Recv()
		if !late.Stop() {
			return c.patience, status.Error(codes.DeadlineExceeded, "the stream was silent")
		}
		if err != nil {
			return silent, err
		}
		silent = max(silent, time.Since(since))
	}
	return silent, nil
}
