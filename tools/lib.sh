# Shared by the scripts in tools/ and packaging/, which source it: `. "${0%/*}/../tools/lib.sh"`.

checkout=$(cd "${0%/*}/.." && pwd)
roots=$checkout/target/roots

# The status that says "not on this machine", as automake and meson have it:
# a caller can tell it from a failure, and has the reason in the one line printed.
CANNOT=77

cannot() {
	echo "${0##*/}: cannot run here: $*" >&2
	exit $CANNOT
}

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# debian_mirror: where this machine gets Debian from, as its apt is configured, or
# DEBIAN_MIRROR (on Ubuntu, whose apt knows no Debian).
debian_mirror() {
	[ -z "$DEBIAN_MIRROR" ] || { echo "$DEBIAN_MIRROR"; return; }
	# shellcheck disable=SC2016 # the $(…) are apt's
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n 's/^Debian //p' | head -n 1
}

# need_debian: returns only where apt can bring something from Debian.
need_debian() {
	[ -r /etc/debian_version ] || cannot "not a Debian or Ubuntu machine"
	[ -r "$keyring" ] || cannot "debian-archive-keyring is not installed (make deps)"
	[ -n "$(debian_mirror)" ] || cannot "apt knows no Debian archive (apt-get update, or set DEBIAN_MIRROR)"
}

# keyring: the signatures of Debian's archive, also on Ubuntu (package debian-archive-keyring).
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# need_roots: returns only where a root can be made and entered.
need_roots() {
	need_debian
	[ "$(id -u)" = 0 ] || cannot "a Debian root takes root's rights"
	command -v debootstrap >/dev/null || cannot "debootstrap is not installed (make deps)"
	unshare --mount true 2>/dev/null || cannot "mounting is not permitted (in a container?)"
}

# in_namespace "$@": runs the script once more in mount and process namespaces of its
# own. However it ends, even killed, the kernel takes the mounts away and ends every
# process that was left behind: nothing to clean up, nothing to forget.
in_namespace() {
	[ -z "$IN_NAMESPACE" ] || return 0
	IN_NAMESPACE=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
}

# lock NAME: waits until no other run works on the same thing.
lock() {
	mkdir -p "$roots"
	exec 9>"$roots/$1.lock"
	flock 9
}

# debootstrap_into SUITE ROOT PACKAGE…: a minimal Debian of that suite with these packages added, in which no package
# starts a daemon. Or an Ubuntu (noble), from UBUNTU_MIRROR and with $keyring; debootstrap's script for jammy does it.
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

# mount_into ROOT: what programs expect to find. debootstrap made the devices; this
# machine's own /dev stays out of reach.
mount_into() {
	mount -t proc proc "$1/proc" &&
		mount -t tmpfs tmpfs "$1/dev/shm" &&
		mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
}

# configure_as_here ROOT: name resolution, certificates, and what apt and cargo must know
# to reach their registries are those of this machine, at this moment.
configure_as_here() {
	cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
	# Only how things are fetched: the rest of apt's settings may name what the root has not.
	apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|Check|Proxy|AllowInsecure|ForceIPv)' \
		>"$1/etc/apt/apt.conf.d/90as-here"
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] || {
		mkdir -p "$1/etc/ssl/certs"
		cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
	}
	for certificate in /usr/local/share/ca-certificates/*.crt; do
		[ ! -e "$certificate" ] || install -D -m 644 -t "$1/usr/local/share/ca-certificates" "$certificate"
	done
	# Bundles that an environment variable names, where they are not the system's own.
	for file in $(environment_as_here | sed -n 's/^[^=]*=\(\/.*\)/\1/p' | sort -u); do
		[ ! -f "$file" ] || [ -e "$1$file" ] || install -D -m 644 "$file" "$1$file"
	done
	cargo_config=${CARGO_HOME:-$HOME/.cargo}/config.toml
	[ ! -e "$cargo_config" ] || install -D -m 600 "$cargo_config" "$1/root/.cargo/config.toml"
}

# environment_as_here: NAME=VALUE lines of the variables about proxies and certificates.
environment_as_here() {
	env | grep -E '^([a-z]+_proxy|[A-Z]+_PROXY|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|GIT_SSL_CAINFO|CARGO_(HTTP|NET|REGISTRIES|SOURCE)_[A-Z0-9_]*)='
}

# in_root ROOT COMMAND…: runs it there, with nothing of this machine's environment but the above.
in_root() {
	root=$1
	shift
	# shellcheck disable=SC2046 # one word for each variable
	chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		$(environment_as_here) "$@"
}

# make_root SUITE DIR PACKAGE…: a minimal Debian of that suite in DIR, with these packages, in place of what is there.
# FOREIGN is the other architecture that some of them are of.
make_root() {
	dir=$2
	# Under another name until it is complete, so that half a root is never taken for one.
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
