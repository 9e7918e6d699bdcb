#!/bin/bash
# skopeo 1.9.3 (Debian bookworm) copies an image index byte for byte, unless a descriptor in it has
# a field that this version does not know. Then it rewrites the index and drops platform.features,
# by which nodes distinguish the variants.
#
# The script copies two indexes with "skopeo copy --all". They differ in one field: artifactType of
# the first descriptor (image-spec 1.1). Output seen:
#
#   without: features before [["zen3"],["skylake"]], after [["zen3"],["skylake"]], same digest: yes
#   with:    features before [["zen3"],["skylake"]], after [null,null], same digest: no
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
command -v jq >/dev/null || unable "jq is not installed"
chmod 0755 .
apt-get download -q skopeo=1.9.3+ds1-1+b10 libgpgme11 libassuan0 >/dev/null 2>&1 ||
	unable "apt-get download of skopeo 1.9.3 failed"
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
skopeo=$PWD/root/usr/bin/skopeo
"$skopeo" --version | grep -q 'version 1\.9\.3' ||
	unable "this is not skopeo 1.9.3: $("$skopeo" --version 2>&1)"

# blob FILE adds a file to the layout $layout and prints the fields of its descriptor.
blob() {
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	cp "$1" "$layout/blobs/sha256/$sum"
	printf '"digest":"sha256:%s","size":%d' "$sum" "$(stat -c %s "$1")"
}

oci=application/vnd.oci.image

# image FEATURE MORE prints the descriptor of an image without layers for nodes with a feature.
image() {
	printf '{"architecture":"amd64","os":"linux",%s,%s}' \
		"\"config\":{\"Labels\":{\"for\":\"$1\"}}" '"rootfs":{"type":"layers","diff_ids":[]}' >config
	printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s",%s},"layers":[]}' \
		$oci.manifest.v1+json $oci.config.v1+json "$(blob config)" >manifest
	printf '{"mediaType":"%s",%s,"platform":{"architecture":"amd64","os":"linux",%s}%s}' \
		$oci.manifest.v1+json "$(blob manifest)" "\"features\":[\"$1\"]" "$2"
}

# layout DIR MORE makes an OCI layout with an index of two variants, tag v.
layout() {
	layout=$1
	mkdir -p "$layout/blobs/sha256"
	printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s,%s]}' \
		$oci.index.v1+json "$(image zen3 "$2")" "$(image skylake '')" >index
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s",%s,"annotations":{"%s":"v"}}]}' \
		$oci.index.v1+json "$(blob index)" org.opencontainers.image.ref.name >"$layout/index.json"
}

root_digest() { jq -r '.manifests[0].digest' "$1/index.json"; }
features() {
	jq -c '[.manifests[].platform.features]' "$1/blobs/sha256/$(root_digest "$1" | cut -d: -f2)"
}

# try NAME MORE copies such a layout and prints the features before and after.
try() {
	layout "$1" "$2"
	"$skopeo" --insecure-policy copy -q --all "oci:$1:v" "oci:$1-copy:v" ||
		unable "skopeo copy failed"
	local same=no
	[ "$(root_digest "$1")" != "$(root_digest "$1-copy")" ] || same=yes
	echo "features before $(features "$1"), after $(features "$1-copy"), same digest: $same"
}

plain=$(try plain '')
known=$(try artifact ',"artifactType":"application/vnd.example.sbom"')
echo "without: $plain"
echo "with:    $known"
before='features before [["zen3"],["skylake"]]'
[ "$plain" = "$before, after [[\"zen3\"],[\"skylake\"]], same digest: yes" ] &&
	[ "$known" = "$before, after [null,null], same digest: no" ]
