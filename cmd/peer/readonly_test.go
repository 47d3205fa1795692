package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapevine/cmd/internal/cli"
	"grapevine/cmd/internal/cli/clitest"
)

// onDisk starts a program on a file system of its own, in a mount namespace that ends with
// it, whose device it names before.
const onDisk = `set -e
truncate -s 200M "$0/image"
mkdir "$0/disk"
mkfs.ext4 -q -F "$0/image"
mount -o loop,errors=remount-ro "$0/image" "$0/disk"
findmnt -no SOURCE "$0/disk" >"$0/device.new"
"$1" init --home "$0/disk/alice" --alone --api "$2" --listen "$3" >"$0/init"
mv "$0/device.new" "$0/device"
exec "$1" start --home "$0/disk/alice"`

// The file system turns read-only under a node, as ext4's does after an error of the disk.
// The node says so, acknowledges nothing more, and ends when it is told to.
func TestLargeDiskTurnsReadOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a file system takes root")
	}
	dir := t.TempDir()
	api, args := loopback(t)
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", onDisk, dir, program.Path(t), api, args[3])
	n := &runningNode{home: filepath.Join(dir, "disk/alice"), api: api, cmd: cmd, log: &lockedBuffer{}}
	cmd.Stderr = n.log
	if err := cmd.Start(); err != nil {
		t.Skipf("no mount namespaces here: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	for {
		if _, err := os.Stat(filepath.Join(dir, "device")); err == nil {
			break
		}
		select {
		case <-ended:
			t.Skipf("no ext4 on a loop device here: %s", n.log)
		case <-time.After(20 * time.Millisecond): // nothing tells of another process
		}
	}
	n.until(t, "the node is ready", func(ready bool, _ string) bool { return ready })
	submit := []string{"tx", "submit", "--api", api, "--key", filepath.Join(dir, "client.key")}
	peer(t, append(submit, "one", "--wait")...).Want(t, cli.ExitOK)

	device := filepath.Base(strings.TrimSpace(clitest.Read(t, dir, "device")))
	if err := os.WriteFile(filepath.Join("/sys/fs/ext4", device, "trigger_fs_error"), []byte("1"), 0); err != nil {
		t.Skipf("this kernel's ext4 cannot be told to fail: %v", err)
	}
	if r := peer(t, append(submit, "two")...); r.Code == cli.ExitOK || !strings.Contains(r.Err, "read-only file system") {
		t.Errorf("submitting ended with %d: %s", r.Code, r.Err)
	}
	n.until(t, "the node is not ready", func(ready bool, _ string) bool { return !ready })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(hang):
		t.Fatalf("it goes on after SIGTERM:\n%s", n.log)
	}
	said := n.log.String()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitFailed || !strings.Contains(said, "closing ledger") {
		t.Errorf("it ended with %d:\n%s", code, said)
	}
	if cause, retry := strings.Index(said, "journal failed"), strings.Index(said, "retrying"); cause < 0 || retry < cause {
		t.Errorf("it says\n%s\nwant the cause first", said)
	}
}
