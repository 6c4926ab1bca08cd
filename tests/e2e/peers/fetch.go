// SPDX-License-Identifier: Apache-2.0

// See curl.sh.
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	client := http.Client{
		Transport: &http.Transport{Proxy: nil},
		Timeout:   20 * time.Second,
	}
	for _, url := range os.Args[1:] {
		status, body := fetch(&client, url)
		fmt.Println(status, hex.EncodeToString(body))
	}
}

func fetch(client *http.Client, url string) (int, []byte) {
	response, err := client.Get(url)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return response.StatusCode, body
}
