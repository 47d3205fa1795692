// Command genproto compiles the repository's .proto files and runs the Go
// plugins that go.mod pins over them, so that generating code needs Go alone and
// no protoc. Run it through scripts/generate.sh.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal("genproto: ", err)
	}
}

func run(ctx context.Context) error {
	files, err := protoFiles()
	if err != nil {
		return err
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments, for the generated docs
	}
	compiled, err := compiler.Compile(ctx, files...)
	if err != nil {
		return err
	}
	for _, f := range compiled {
		request := &pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{f.Path()},
			Parameter:      proto.String("paths=source_relative"),
			ProtoFile:      []*descriptorpb.FileDescriptorProto{protoutil.ProtoFromFileDescriptor(f)},
		}
		plugins := []string{"protoc-gen-go"}
		if f.Services().Len() > 0 {
			plugins = append(plugins, "protoc-gen-connect-go")
		}
		for _, plugin := range plugins {
			if err := generate(ctx, plugin, request); err != nil {
				return fmt.Errorf("%s, %s: %w", f.Path(), plugin, err)
			}
		}
	}
	return nil
}

// protoFiles returns the .proto files below the working directory.
func protoFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".proto") {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// generate runs one plugin, as protoc would, and writes what it answers.
func generate(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest) error {
	in, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", *response.Error)
	}
	for _, f := range response.File {
		path := filepath.FromSlash(f.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
