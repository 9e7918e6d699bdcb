package programs

import (
	"slices"
	"strings"
)

// apkBases are Alpine's base system. A name that ends in "*" is a prefix, here and below.
//
//nolint:gochecknoglobals // a constant list
var apkBases = strings.Fields(`
	alpine-base alpine-baselayout* alpine-conf alpine-keys alpine-release apk-tools busybox*
	ca-certificates-bundle libc-utils libcrypto3 libssl3 musl* scanelf ssl_client zlib wolfi-base
	wolfi-baselayout wolfi-keys glibc ld-linux libxcrypt`)

func apkBase(name string) bool { return listed(apkBases, name) }

// rpmBases are the base systems of the distributions that use rpm, as their images hold them:
// Fedora, CentOS and its kin, UBI, openSUSE, Amazon Linux, Azure Linux.
//
//nolint:gochecknoglobals // a constant list
var rpmBases = strings.Fields(`
	aaa_base* acl alternatives amazon-linux-* audit audit-libs authselect* azurelinux-* basesystem bash
	bzip2* ca-certificates* chkconfig coreutils* cpio cracklib* crypto-policies* curl* cyrus-sasl-lib
	dbus* diffutils dnf* elfutils* fedora-* filesystem file-libs findutils fipscheck* gawk gdbm*
	glib2 glibc* gmp gnupg2* gnutls* gpg* grep gzip hostname info iproute* iputils* kmod* krb5-*
	less libarchive libassuan libattr libblkid libcap* libcom_err libcurl* libdb* libdnf* libeconf
	libfdisk libffi libgcc* libgcrypt* libgomp* libgpg-error libidn2 libksba libmodulemd* libmount
	libnghttp2 libpsl libpwquality libreport* librepo librhsm libselinux* libsemanage libsepol*
	libsigsegv libsmartcols libsolv* libssh* libstdc++* libtasn1 libunistring libusb* libutempter
	libuuid libverto libxcrypt* libxml2* libyaml libzstd* libzypp lua-libs lz4* mariner-*
	microdnf* mpfr ncurses* netcfg nettle npth openldap* openssl* openSUSE-* opensuse-* p11-kit* pam*
	passwd pcre* permissions* pinentry* popt procps* publicsuffix* python3-dnf* python3-hawkey
	python3-libdnf* python3-rpm python3-subscription-manager* readline redhat-* rocky-* almalinux-*
	centos-* oraclelinux-* rootfiles rpm* sed setup shadow* sle-* sles-* sqlite* subscription-manager*
	suse-* system-* systemd* sysuser-* tar tdnf* terminfo* timezone tpm2-tss tzdata usermode
	util-linux* vim-data vim-minimal which xz* yum* zchunk* zlib* zypper`)

func rpmBase(name string) bool { return listed(rpmBases, name) }

// tools are packages that images are mostly built with rather than for, under the names of all
// distributions. The node has most of them too, and its own know the user's settings.
//
//nolint:gochecknoglobals // a constant list
var tools = strings.Fields(`
	apt-transport-https apt-utils bash-completion bzip2 ca-certificates curl debconf-utils dialog
	dirmngr dpkg-dev dumb-init ed environment-modules fakeroot file git git-core git-lfs gnupg gnupg1
	gnupg2 gosu gpg gpg-agent hostname iproute iproute2 iputils iputils-ping less lmod Lmod locales
	locales-all lsb-release man-db nano net-tools netbase netcat-openbsd netcat-traditional openssh
	openssh-client openssh-clients openssh-server openssl patch procps procps-ng psmisc rsync
	software-properties-common su-exec sudo tini tzdata unzip vim vim-common vim-tiny wget which xz
	xz-utils zip`)

func isTool(name string) bool { return slices.Contains(tools, name) }

func listed(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, is := strings.CutSuffix(p, "*")
		return p == name || is && strings.HasPrefix(name, prefix)
	})
}

// basics are commands that every system has, by whichever package: those of coreutils, util-linux,
// procps, busybox and their like. A module that replaces the node's own, as the root of a tree of
// directories without a data base of packages would, breaks the scripts of its users.
//
//nolint:gochecknoglobals // a constant list
var basics = strings.Fields(`
	addr2line apk apt apt-get arch ash awk b2sum base32 base64 basename basenc bash bunzip2 busybox
	bzcat bzip2 cal cat chattr chcon chgrp chmod choom chown chroot chrt chsh cksum clear cmp col
	column comm coreutils cp cpio crontab csplit cut dash date dc dd deallocvt df diff diff3 dir
	dircolors dirname dmesg dnf dnsdomainname dos2unix dpkg du ed egrep env expand expr factor
	fallocate fgrep file find findmnt flock fmt fold free fsync fuser gawk getconf getent getopt
	gpg grep groups gunzip gzip hd head hexdump hostid hostname iconv id info infocmp install
	ionice ipcrm ipcs join kill killall ldd less lesspipe link linux32 linux64 ln locale localedef
	logger login logname ls lsattr lscpu lsmem lsof lzcat lzma man mawk mcookie md5sum mesg
	microdnf mkdir mkfifo mknod mktemp more mount mountpoint mv namei nano nawk nc netstat newgrp
	nice nl nohup nproc nsenter nslookup numfmt od openssl pager passwd paste patch pathchk pgrep
	pidof pidwait ping pinky pkill pmap pr prlimit ps pstree ptx pwdx readlink realpath rename
	renice reset rev rm rmdir rpm rsync runcon runuser savelog scp screen script sdiff sed seq
	setarch setpriv setsid setterm sha1sum sha224sum sha256sum sha384sum sha3sum sha512sum shred
	shuf slabtop sleep sort split ssh stat stdbuf strings stty su sudo sum sync tabs tac tail tar
	taskset tee tempfile tic timeout top touch toybox tput tr traceroute tree truncate tset tsort
	tty tzselect umount uname uncompress unexpand uniq unix2dos unlink unlzma unshare unxz unzip
	uptime users utmpdump uudecode uuencode uuidgen vdir vi view vim vmstat w wall watch wc wget
	whereis which who whoami write xargs xxd xz xzcat yes yum zcat zcmp zdiff zegrep zfgrep zforce
	zgrep zip zless zmore znew zypper`)

func basic(name string) bool { return slices.Contains(basics, name) }
