# Shared by the scripts in tools/ and packaging/, which source it: `. "${0%/*}/../tools/lib.sh"`.

checkout=$(cd "${0%/*}/.." && pwd)
roots=$checkout/target/roots
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$checkout/Cargo.toml")

# The exit status for "not possible on this machine", as in automake and meson. A caller can distinguish it from a failure;
# one line gives the reason.
CANNOT=77

cannot() {
	echo "${0##*/}: cannot run here: $*" >&2
	exit $CANNOT
}

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# set_source_time: sets $time, the time of all files in a package, so that the same sources give the same bytes:
# SOURCE_DATE_EPOCH, or the time of the commit.
set_source_time() {
	time=${SOURCE_DATE_EPOCH:-$(git -C "$checkout" log -1 --format=%ct 2>/dev/null)}
	[ -n "$time" ] || fail "there is no time for the files: neither a commit nor SOURCE_DATE_EPOCH"
}

# debian_mirror: prints the URL of a Debian archive, from DEBIAN_MIRROR or from the configuration of apt. On Ubuntu,
# DEBIAN_MIRROR is necessary.
debian_mirror() {
	[ -z "$DEBIAN_MIRROR" ] || { echo "$DEBIAN_MIRROR"; return; }
	# shellcheck disable=SC2016 # apt, not the shell, expands $(…)
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n 's/^Debian //p' | head -n 1
}

# need_debian: exits unless apt can download from Debian.
need_debian() {
	[ -r /etc/debian_version ] || cannot "not a Debian or Ubuntu machine"
	[ -r "$keyring" ] || cannot "debian-archive-keyring is not installed (make deps)"
	[ -n "$(debian_mirror)" ] || cannot "apt has no Debian archive (apt-get update, or set DEBIAN_MIRROR)"
}

# The keys that sign Debian's archive (package debian-archive-keyring).
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# need_roots: exits unless this machine can make a root and enter it.
need_roots() {
	need_debian
	[ "$(id -u)" = 0 ] || cannot "only the user root can make a Debian root"
	command -v debootstrap >/dev/null || cannot "debootstrap is not installed (make deps)"
	unshare --mount true 2>/dev/null || cannot "mounting is not permitted (in a container?)"
}

# in_namespace "$@": restarts the script in its own mount and process namespaces. When the script ends, even if it is killed, the
# kernel removes the mounts and ends all processes that still run.
in_namespace() {
	[ -z "$IN_NAMESPACE" ] || return 0
	IN_NAMESPACE=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
}

# lock NAME: waits until no other run holds this lock.
lock() {
	mkdir -p "$roots"
	exec 9>"$roots/$1.lock"
	flock 9
}

# debootstrap_into SUITE ROOT PACKAGE…: makes a minimal Debian with these packages in ROOT, in which no package can start a daemon.
# The suite noble is Ubuntu: it comes from UBUNTU_MIRROR, its keys are in $keyring, and debootstrap's script for jammy makes it.
debootstrap_into() {
	suite=$1
	root=$2
	shift 2
	mirror=$(debian_mirror) components=main script=$suite
	[ "$suite" != noble ] || mirror=$UBUNTU_MIRROR components=main,universe script=jammy
	mkdir -p "$roots/debs"
	debootstrap --variant=minbase --cache-dir="$roots/debs" --keyring="$keyring" --components="$components" \
		${1:+--include="$(echo "$*" | tr ' ' ,)"} "$suite" "$root" "$mirror" "/usr/share/debootstrap/scripts/$script" || return
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
}

# find_ubuntu_keyring: sets $keyring to this machine's keys of Ubuntu, or to the keys in a package of Debian 13.
find_ubuntu_keyring() {
	keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
	[ ! -e "$keyring" ] || return 0
	debian=$roots/ubuntu-keyring
	rm -rf --one-file-system "$debian"
	debootstrap --variant=minbase --cache-dir="$roots/debs" --include=ubuntu-keyring trixie "$debian" "$(debian_mirror)" || return
	keyring=$roots/ubuntu-archive-keyring.gpg
	cp "$debian/usr/share/keyrings/ubuntu-archive-keyring.gpg" "$keyring" && rm -rf --one-file-system "$debian"
}

# updates SUITE: prints the line of sources.list with which a root of this suite gets the updates that a real machine gets.
updates() {
	if [ "$1" = noble ]; then
		echo "deb $UBUNTU_MIRROR noble-updates main universe"
	else
		# shellcheck disable=SC2016 # apt, not the shell, expands $(…)
		apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
			sed -n "s/^Debian-Security \\(.*\\)/deb \\1 $1-security main/p" | head -n 1
	fi
}

# mount_into ROOT: mounts the file systems that programs need. The devices come from debootstrap; this machine's /dev is not visible.
mount_into() {
	mount -t proc proc "$1/proc" &&
		mount -t tmpfs tmpfs "$1/dev/shm" &&
		mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
}

# configure_as_here ROOT: copies this machine's name resolution, certificates, and settings with which apt and cargo reach their
# registries.
configure_as_here() {
	cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
	# Only the settings for downloads: other settings may name files that ROOT does not have.
	apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|Check|Proxy|AllowInsecure|ForceIPv)' \
		>"$1/etc/apt/apt.conf.d/90as-here"
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] || {
		mkdir -p "$1/etc/ssl/certs"
		cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
	}
	for certificate in /usr/local/share/ca-certificates/*.crt; do
		[ ! -e "$certificate" ] || install -D -m 644 -t "$1/usr/local/share/ca-certificates" "$certificate"
	done
	# Bundles of certificates that an environment variable names.
	for file in $(environment_as_here | sed -n 's/^[^=]*=\(\/.*\)/\1/p' | sort -u); do
		[ ! -f "$file" ] || [ -e "$1$file" ] || install -D -m 644 "$file" "$1$file"
	done
	cargo_config=${CARGO_HOME:-$HOME/.cargo}/config.toml
	[ ! -e "$cargo_config" ] || install -D -m 600 "$cargo_config" "$1/root/.cargo/config.toml"
}

# environment_as_here: prints NAME=VALUE lines, for the variables about proxies and certificates.
environment_as_here() {
	env | grep -E '^([a-z]+_proxy|[A-Z]+_PROXY|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|GIT_SSL_CAINFO|CARGO_(HTTP|NET|REGISTRIES|SOURCE)_[A-Z0-9_]*)='
}

# in_root ROOT COMMAND…: runs the command in ROOT. Of this machine's environment, it gets only the variables above.
in_root() {
	root=$1
	shift
	# shellcheck disable=SC2046 # one word for each variable
	chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		$(environment_as_here) "$@"
}

# make_root SUITE DIR PACKAGE…: makes a minimal Debian with these packages in DIR, and replaces an older one there. FOREIGN, if set, is a
# second architecture, for packages such as lua5.4:arm64.
make_root() {
	dir=$2
	# It has another name until it is complete, so that nothing uses an incomplete root.
	new=$dir.new
	rm -rf --one-file-system "$new"
	mkdir -p "$new"
	log=$new.log
	{
		debootstrap_into "$1" "$new" &&
			configure_as_here "$new" &&
			mount_into "$new" &&
			mount --bind "$roots/debs" "$new/var/cache/apt/archives" &&
			{ [ -z "$FOREIGN" ] || in_root "$new" dpkg --add-architecture "$FOREIGN"; } &&
			in_root "$new" apt-get update
	} >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; fail "failed; the log is $log"; }
	shift 2
	in_root "$new" apt-get -y --no-install-recommends install "$@" >>"$log" 2>&1 </dev/null ||
		{ tail -n 20 "$log" >&2; fail "failed; the log is $log"; }
	umount -l "$new/var/cache/apt/archives" "$new/proc" "$new/dev/shm" "$new/dev/pts"
	rm -rf "$new"/var/lib/apt/lists/*
	rm -rf --one-file-system "$dir"
	mv -T "$new" "$dir"
	rm -f "$log"
}
