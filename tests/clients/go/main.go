// Go's crypto/tls and net/http, proxy and roots from the environment.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	request, _ := http.NewRequest("GET", os.Getenv("API")+"/items", nil)
	request.Header.Set("Authorization", "Bearer #{SECRETS.API_TOKEN}")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	body, _ := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, string(body))
}
