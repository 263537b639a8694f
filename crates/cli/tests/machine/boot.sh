# Boots systemd as the first process of namespaces of its own, with the packaged unit
# and nothing else, and leaves the machine outside as it is. Environment:
# HOME_OF_TEST, CONFIG (its files that belong into /etc/tegata), UNIT, NAME (of the unit and
# of its user), SERVICE (lines of a drop-in), TEGATA. Begins in a cgroup of its own, so that
# systemd's are below that.
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$HOME_OF_TEST/over"
for folder in etc usr/bin; do
  mkdir -p "$HOME_OF_TEST/over/$folder" "$HOME_OF_TEST/over/work/$folder"
  mount -t overlay overlay -o \
    "lowerdir=/$folder,upperdir=$HOME_OF_TEST/over/$folder,workdir=$HOME_OF_TEST/over/work/$folder" "/$folder"
done
for folder in /run /var/lib /mnt /usr/lib/systemd/system /etc/systemd/system; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

: > /usr/bin/tegata
mount --bind "$TEGATA" /usr/bin/tegata
echo "$NAME:x:29470:29470::/nonexistent:/usr/sbin/nologin" >> /etc/passwd
echo "$NAME:x:29470:" >> /etc/group
mkdir /etc/tegata /mnt/other
for file in $CONFIG; do
  cp "$HOME_OF_TEST/$file" /etc/tegata/
  chmod 400 "/etc/tegata/$file"
done
chown -R "$NAME:$NAME" /etc/tegata /mnt/other
# A secret that only root can read.
if [ -e "$HOME_OF_TEST/credstore" ]; then
  cp -R "$HOME_OF_TEST/credstore" /etc/
  chmod -R go= /etc/credstore
fi

# A machine with no other units.
for target in sysinit basic network-online multi-user shutdown; do
  printf '[Unit]\nDefaultDependencies=no\n' > "/usr/lib/systemd/system/$target.target"
done
printf 'Wants=%s.service\nAfter=basic.target\n' "$NAME" >> /usr/lib/systemd/system/multi-user.target
cp "$UNIT" /etc/systemd/system/
# There is no journal here.
mkdir "/etc/systemd/system/$NAME.service.d"
printf '[Service]\n%s\nStandardOutput=append:%s/said\nStandardError=inherit\n' \
  "$SERVICE" "$HOME_OF_TEST" > "/etc/systemd/system/$NAME.service.d/test.conf"

# systemd mounts credentials in a namespace that has to share them.
mount --make-rshared /
export container=test
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0
