# SPDX-License-Identifier: Apache-2.0
# In the machine that ./run boots: the command, as root.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
uname -srv
cd "$root" || exit
(eval "$command")
echo $? >"$results/exit"
sync
