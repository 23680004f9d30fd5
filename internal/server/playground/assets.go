package playground

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed dist
var built embed.FS

// contentTypes is fixed here because the system's own table differs from machine to machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
	".svg":  "image/svg+xml",
}

// asset is one built file. Files under assets/ carry a hash of their content in the name and never change.
type asset struct {
	body         []byte
	contentType  string
	cacheControl string
	tag          string
	// zipped is computed by the first browser that asks for it: most processes never serve the page.
	zipped func() []byte
}

// loadAssets reads the embedded build: the page, and all other files by the path they are asked for. It panics on a file
// of a kind without a content type: the build is part of the binary, so only a change of the build can cause that, and a
// test loads it.
func loadAssets() (page *asset, files map[string]*asset) {
	files = map[string]*asset{}
	err := fs.WalkDir(built, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := newAsset(name)
		files[base+strings.TrimPrefix(name, "dist")] = file
		return err
	})
	if err != nil {
		panic(fmt.Errorf("reading the embedded playground: %w", err))
	}
	page = files[base+"/index.html"]
	delete(files, base+"/index.html") // it has the address of the page alone
	return page, files
}

func newAsset(name string) (*asset, error) {
	body, err := built.ReadFile(name)
	if err != nil {
		return nil, err
	}
	contentType, ok := contentTypes[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("%s: no content type for this kind of file", name)
	}
	sum := sha256.Sum256(body)
	return &asset{
		body:         body,
		contentType:  contentType,
		cacheControl: cacheControl(strings.TrimPrefix(name, "dist/")),
		tag:          hex.EncodeToString(sum[:12]),
		zipped:       sync.OnceValue(func() []byte { return compress(body) }),
	}, nil
}

func cacheControl(name string) string {
	switch {
	case strings.HasPrefix(name, "assets/"):
		return "public, max-age=31536000, immutable"
	case path.Ext(name) == ".html":
		return "no-store"
	default:
		return "no-cache"
	}
}

// serve writes the file; http.ServeContent answers HEAD, conditional and range requests.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	body, tag := a.body, a.tag
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", a.cacheControl)
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = a.zipped(), a.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads an Accept-Encoding header: gzip must be named, and not with a weight of zero.
func acceptsGzip(header string) bool {
	for _, item := range strings.Split(header, ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(item), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		weight, weighted := strings.CutPrefix(strings.TrimSpace(parameters), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !weighted || (err == nil && q > 0)
	}
	return false
}

// compress cannot fail: it writes into memory, at a level that exists.
func compress(body []byte) []byte {
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = zip.Write(body)
	_ = zip.Close()
	return out.Bytes()
}
