// Renders conversations with Ollama's own packages: reads the Modelfiles and conversations of ollama-templates.ts from
// standard input, and writes what its parser and its template package make of them.
//
// Built in Ollama's tree (v0.13.5, with Go 1.24.4 and the dependencies that Debian packages, in vendor/): copy this file to
// cmd/render-with-ollama/main.go there, then
//
//	node --import tsx tests/export/ollama-templates.ts | go run ./cmd/render-with-ollama > tests/export/golden/ollama-templates.json
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/parser"
	"github.com/ollama/ollama/template"
)

type input struct {
	Modelfiles    map[string]string
	Conversations [][]api.Message
}

type output struct {
	Template string   `json:"template"`
	Stop     []string `json:"stop"`
	Rendered []string `json:"rendered"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var in input
	check(json.NewDecoder(os.Stdin).Decode(&in))
	out := map[string]output{}
	for name, text := range in.Modelfiles {
		modelfile, err := parser.ParseFile(strings.NewReader(text))
		check(err)
		var made output
		for _, command := range modelfile.Commands {
			switch command.Name {
			case "template":
				made.Template = command.Args
			case "stop":
				made.Stop = append(made.Stop, command.Args)
			}
		}
		parsed, err := template.Parse(made.Template)
		check(err)
		for _, messages := range in.Conversations {
			// The package changes the messages that it is given.
			own := append([]api.Message(nil), messages...)
			var b bytes.Buffer
			check(parsed.Execute(&b, template.Values{Messages: own}))
			made.Rendered = append(made.Rendered, b.String())
		}
		out[name] = made
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(out))
}
