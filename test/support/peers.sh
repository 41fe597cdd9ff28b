#!/usr/bin/env bash
# Unpacks the newest OpenSSH, Dropbear and PuTTY of Debian beside the system's, for `chroot FOLDER ssh …`.
# The loopback interface is shared with the system. Needs root, apt and debootstrap; about 40 s the first time.
# usage: peers.sh SUITE FOLDER        prints nothing but errors and progress
set -euo pipefail
suite=$1 folder=$2
complete() { [[ -x $folder/usr/bin/ssh && -x $folder/usr/sbin/dropbear && -x $folder/usr/bin/plink ]]; }

mkdir -p "$(dirname "$folder")"
exec 9>"$folder.lock"
flock 9 # another run may be at it
complete && exit 0

# debootstrap knows a suite by a script of its name; suites newer than it are laid out like sid.
scripts=/usr/share/debootstrap/scripts
[[ -e $scripts/$suite ]] || ln -s sid "$scripts/$suite"

rm -rf --one-file-system "$folder" "$folder.new"
packages=openssh-client,openssh-server,openssh-sftp-server,dropbear-bin,putty-tools
debootstrap --variant=minbase --include="$packages" "$suite" "$folder.new"
mkdir -p "$folder.new/run/sshd"
mv "$folder.new" "$folder"
