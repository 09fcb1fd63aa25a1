// Go sends chunks if the length of a reader is unknown. With Expect, it waits for 100 Continue before it sends the body.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"time"
)

func main() {
	client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second}}
	for _, text := range []string{strings.Repeat("x", 100000), "small", strings.Repeat("x", 100000), "small"} {
		reader, writer := io.Pipe()
		go func() {
			for begin := 0; begin < len(text); begin += 10000 {
				end := begin + 10000
				if end > len(text) {
					end = len(text)
				}
				io.WriteString(writer, text[begin:end])
			}
			writer.Close()
		}()
		request, err := http.NewRequest("POST", os.Args[1], reader)
		if err != nil {
			panic(err)
		}
		continued := "no 100 "
		trace := httptrace.ClientTrace{Got100Continue: func() { continued = "" }}
		request = request.WithContext(httptrace.WithClientTrace(request.Context(), &trace))
		request.Header.Set("Authorization", "Bearer "+os.Args[2])
		request.Header.Set("Expect", "100-continue")
		answer, err := client.Do(request)
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		fmt.Print(continued, answer.StatusCode, " ")
	}
}
