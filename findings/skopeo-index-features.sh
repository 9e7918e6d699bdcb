#!/bin/bash
# skopeo 1.9.3 (Debian bookworm) copies an image index byte for byte, until one descriptor of it has a field that this version does
# not know: then it writes the index anew, and platform.features, by which a node tells the variants apart, is gone.
#
# Two indexes are copied by "skopeo copy --all". They differ in one field, artifactType of the first descriptor (image-spec 1.1).
# Output seen:
#
#   without artifactType: features before [["zen3"],["skylake"]], after [["zen3"],["skylake"]], same digest: yes
#   with artifactType:    features before [["zen3"],["skylake"]], after [null,null], same digest: no
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
command -v jq >/dev/null || unable "jq is not installed"
chmod 0755 .
apt-get download -q skopeo=1.9.3+ds1-1+b10 libgpgme11 libassuan0 >/dev/null 2>&1 || unable "apt-get download of skopeo 1.9.3 failed"
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
skopeo=$PWD/root/usr/bin/skopeo
"$skopeo" --version | grep -q 'version 1\.9\.3' || unable "this is not skopeo 1.9.3: $("$skopeo" --version 2>&1)"

# blob FILE prints the descriptor fields of a file that it adds to the layout $layout.
blob() {
	local sum
	sum=$(sha256sum <"$1" | cut -d' ' -f1)
	cp "$1" "$layout/blobs/sha256/$sum"
	printf '"digest":"sha256:%s","size":%d' "$sum" "$(stat -c %s "$1")"
}

# image FEATURE MORE prints the descriptor of an image without layers for nodes with a feature.
image() {
	printf '{"architecture":"amd64","os":"linux","config":{"Labels":{"for":"%s"}},"rootfs":{"type":"layers","diff_ids":[]}}' "$1" >config
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",%s},"layers":[]}' "$(blob config)" >manifest
	printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json",%s,"platform":{"architecture":"amd64","os":"linux","features":["%s"]}%s}' "$(blob manifest)" "$1" "$2"
}

# layout DIR MORE makes an OCI layout with an index of two variants, tag v.
layout() {
	layout=$1
	mkdir -p "$layout/blobs/sha256"
	printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' "$(image zen3 "$2")" "$(image skylake '')" >index
	printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"v"}}]}' "$(blob index)" >"$layout/index.json"
}

root_digest() { jq -r '.manifests[0].digest' "$1/index.json"; }
features() { jq -c '[.manifests[].platform.features]' "$1/blobs/sha256/$(root_digest "$1" | cut -d: -f2)"; }

# try NAME MORE copies such a layout, and prints what became of the features.
try() {
	layout "$1" "$2"
	"$skopeo" --insecure-policy copy -q --all "oci:$1:v" "oci:$1-copy:v" || unable "skopeo copy failed"
	local same=no
	[ "$(root_digest "$1")" != "$(root_digest "$1-copy")" ] || same=yes
	echo "features before $(features "$1"), after $(features "$1-copy"), same digest: $same"
}

plain=$(try plain '')
known=$(try artifact ',"artifactType":"application/vnd.example.sbom"')
echo "without artifactType: $plain"
echo "with artifactType:    $known"
[ "$plain" = 'features before [["zen3"],["skylake"]], after [["zen3"],["skylake"]], same digest: yes' ] &&
	[ "$known" = 'features before [["zen3"],["skylake"]], after [null,null], same digest: no' ]
