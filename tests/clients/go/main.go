// Go's crypto/tls and net/http, roots from the environment. The proxy is named, because Go's own reading of HTTPS_PROXY
// leaves localhost out, which is where the test's API is.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

func main() {
	request, _ := http.NewRequest("GET", os.Getenv("API")+"/items", nil)
	request.Header.Set("Authorization", "Bearer #{SECRETS.API_TOKEN}")
	proxy, _ := url.Parse(os.Getenv("HTTPS_PROXY"))
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	response, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	body, _ := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, string(body))
}
