# Boots systemd as the first process of namespaces of its own, in a fresh root of Debian with
# all its units and nothing else; the network has loopback alone. Environment: ROOT (left as it
# is), OVER (an empty folder for what is changed), SHARED (a folder that is `/shared` in there).
# Begins in a cgroup of its own, so that systemd's are below that.
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$OVER"
mkdir "$OVER/upper" "$OVER/work" "$OVER/root"
mount -t overlay overlay \
  -o "lowerdir=$ROOT,upperdir=$OVER/upper,workdir=$OVER/work" "$OVER/root"
mount -t tmpfs -o mode=755 tmpfs "$OVER/root/run"
mount -t tmpfs -o mode=755 tmpfs "$OVER/root/dev"
cd "$OVER/root"
mkdir dev/pts dev/shm shared old
mount --bind "$SHARED" shared
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for device in null zero full random urandom tty; do
  : > "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
# Read-only, so that no unit here manages the devices of the machine outside.
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . old
umount -l /old
# systemd mounts credentials in a namespace that has to share them.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=multi-user.target --show-status=0
