package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"grapevine/api/apipb"
)

// nothing is the pattern of whatever is not there.
const nothing = "/"

// procedures are the paths of the service's methods.
func procedures() (paths []string) {
	service := apipb.File_api_apipb_api_proto.Services().Get(0)
	for i := range service.Methods().Len() {
		paths = append(paths, "/"+string(service.FullName())+"/"+string(service.Methods().Get(i).Name()))
	}
	return paths
}

// asksMethod says whether a request is for a method of some service, and not for a page.
func asksMethod(r *http.Request) bool {
	service, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return r.Method == http.MethodPost && ok &&
		(strings.Contains(service, ".") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"))
}

// talkTimeout bounds a conversation, in which a client says one thing after another, and
// whose body is not read before it is served. A guess: tools ask for what they need to
// know at the start.
const talkTimeout = 2 * time.Minute

// maxQuestion bounds what a client may say at once in a conversation: names, in bytes.
const maxQuestion = 4 << 10

// reflection tells tools such as grpcurl of the service, and of nothing else that the
// program has of protobuf.
func (s *Server) reflection(mux *http.ServeMux) {
	file := apipb.File_api_apipb_api_proto
	files := new(protoregistry.Files)
	if err := files.RegisterFile(file); err != nil {
		panic(err) // it is the first
	}
	names := grpcreflect.NamerFunc(func() []string { return []string{string(file.Services().Get(0).FullName())} })
	reflector := grpcreflect.NewReflector(names, grpcreflect.WithDescriptorResolver(files), grpcreflect.WithExtensionResolver(new(protoregistry.Types)))
	for _, handler := range []func(*grpcreflect.Reflector, ...connect.HandlerOption) (string, http.Handler){grpcreflect.NewHandlerV1, grpcreflect.NewHandlerV1Alpha} {
		path, talk := handler(reflector, connect.WithReadMaxBytes(maxQuestion))
		mux.Handle(path, s.conversation(talk))
	}
}

// converses says whether the requests of a pattern are conversations.
func converses(pattern string) bool { return strings.HasPrefix(pattern, "/grpc.reflection.") }

// conversation serves a request whose body goes on while it is answered. It counts as a
// stream.
func (s *Server) conversation(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := s.openStream(r.Context())
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		defer done()
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(talkTimeout))
		defer context.AfterFunc(s.ending, func() { control.SetReadDeadline(time.Now()) })()
		next.ServeHTTP(w, r)
	}
}
