package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock lets one run at a time work with the key file: two would end each other's root tokens and secret ids, and one that
// is slow could write over the key that the other has just been given. The lock is on the file's folder, and goes with the
// process, however that ends.
func (r *run) lock(ctx context.Context) (release func() error, err error) {
	folder, err := os.Open(filepath.Dir(r.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("keeping the unseal key: %w: make the folder, and let this command's user write to it", err)
	}
	for {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return folder.Close, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("locking the folder of %s: %w", r.KeyFile, err), folder.Close())
		case pause(ctx) != nil:
			return nil, errors.Join(fmt.Errorf("another run is under way with %s: wait until it has ended: %w", r.KeyFile, ctx.Err()), folder.Close())
		}
	}
}
