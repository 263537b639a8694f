# Boots systemd as the first process of namespaces of its own, with the packaged unit
# and nothing else, and leaves the machine outside as it is. Environment:
# HOME_OF_TEST (with agent.toml and its credentials), UNIT, TEGATA. Begins in a cgroup
# of its own, so that systemd's are below that.
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$HOME_OF_TEST/over"
for folder in etc usr/bin; do
  mkdir -p "$HOME_OF_TEST/over/$folder" "$HOME_OF_TEST/over/work/$folder"
  mount -t overlay overlay -o \
    "lowerdir=/$folder,upperdir=$HOME_OF_TEST/over/$folder,workdir=$HOME_OF_TEST/over/work/$folder" "/$folder"
done
for folder in /run /var/lib /usr/lib/systemd/system /etc/systemd/system; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

: > /usr/bin/tegata
mount --bind "$TEGATA" /usr/bin/tegata
echo 'tegata-agent:x:29470:29470::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'tegata-agent:x:29470:' >> /etc/group
mkdir /etc/tegata
cp "$HOME_OF_TEST/agent.toml" "$HOME_OF_TEST/secret" /etc/tegata/
chown -R tegata-agent:tegata-agent /etc/tegata
chmod 400 /etc/tegata/secret

# A machine with no other units.
for target in sysinit basic network-online multi-user shutdown; do
  printf '[Unit]\nDefaultDependencies=no\n' > "/usr/lib/systemd/system/$target.target"
done
printf 'Wants=tegata-agent.service\nAfter=basic.target\n' >> /usr/lib/systemd/system/multi-user.target
cp "$UNIT" /etc/systemd/system/
# A test cannot wait a minute for the watchdog, and there is no journal here.
mkdir /etc/systemd/system/tegata-agent.service.d
printf '[Service]\nWatchdogSec=3\nStandardOutput=append:%s/said\nStandardError=inherit\n' \
  "$HOME_OF_TEST" > /etc/systemd/system/tegata-agent.service.d/test.conf

export container=test
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0
