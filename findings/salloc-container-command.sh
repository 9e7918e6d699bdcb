#!/bin/bash
# salloc of Slurm 22.05.8 (Debian bookworm) refuses --container for want of the interactive step
# even if it is given a command. A command needs no interactive step: salloc runs it on the host.
# SALLOC_CONTAINER, which a site may set for all users, is refused in the same way, and with it a
# plain "salloc true".
#
# No controller runs here: salloc refuses before it asks one. Output seen:
#
#   --container                   --container requires LaunchParameters=use_interactive_step
#   --container, with a command   --container requires LaunchParameters=use_interactive_step
#   SALLOC_CONTAINER, a command   --container requires LaunchParameters=use_interactive_step
#   srun in place of salloc       not refused
#
# Status 0: as above. 1: it behaves differently. 2: it could not be tried.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unable() { echo "cannot try: $*" >&2; exit 2; }
chmod 0755 .
slurm=22.05.8-4+deb12u3
apt-get download -q slurm-client=$slurm slurm-wlm-basic-plugins=$slurm libmunge2 >/dev/null 2>&1 ||
	unable "apt-get download of Slurm $slurm failed"
for package in ./*.deb; do dpkg -x "$package" root; done
lib=$(echo "$PWD"/root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$lib:$lib/slurm-wlm SLURM_CONF=$PWD/slurm.conf
cat >slurm.conf <<END
ClusterName=finding
SlurmctldHost=$(uname -n)(127.0.0.1)
SlurmctldPort=1
AuthType=auth/none
PluginDir=$lib/slurm-wlm
NodeName=n1
PartitionName=p Nodes=n1 Default=YES
END
root/usr/bin/salloc --version | grep -q "slurm-wlm 22\.05\.8" ||
	unable "this salloc does not run: $(root/usr/bin/salloc --version 2>&1)"

# try WHAT COMMAND... prints why COMMAND is refused. A command that is not refused waits for a
# controller until timeout ends it.
try() {
	local what=$1 said
	shift
	said=$(timeout 3 "$@" 2>&1) || :
	said=$(grep -o -m 1 -e '--container requires .*' <<<"$said" || echo 'not refused')
	printf '%-29s %s\n' "$what" "$said"
}

found=$(
	try '--container' root/usr/bin/salloc --container=/nowhere
	try '--container, with a command' root/usr/bin/salloc --container=/nowhere true
	try 'SALLOC_CONTAINER, a command' env SALLOC_CONTAINER=/nowhere root/usr/bin/salloc true
	try 'srun in place of salloc' root/usr/bin/srun --container=/nowhere true
)
echo "$found"
cmp -s <(echo "$found") - <<'END'
--container                   --container requires LaunchParameters=use_interactive_step
--container, with a command   --container requires LaunchParameters=use_interactive_step
SALLOC_CONTAINER, a command   --container requires LaunchParameters=use_interactive_step
srun in place of salloc       not refused
END
