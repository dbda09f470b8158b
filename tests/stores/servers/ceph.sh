version=16.2.15
description="Ceph's object gateway on a cluster of one, in memory; from Debian's packages."
has_lock=true

# Debian's package manager checks the hashes; it has this version only while Debian does.
install() {
  ceph_is_there && return
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive nice apt-get install -qq -y --no-install-recommends \
      radosgw ceph-mon ceph-osd >/dev/null &&
    ceph_is_there
}

ceph_is_there() {
  [[ -x /usr/bin/ceph-mon && -x /usr/bin/ceph-osd &&
    $(radosgw --version 2>/dev/null) == "ceph version $version"* ]]
}

# Its monitor and its store take more ports. Both end with the gateway.
serve() {
  local mon
  mon=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
  mkdir -p "$2/run" "$2/mon" "$2/osd" "$2/gateway"
  cat >"$2/ceph.conf" <<END
[global]
fsid = 6e1f3d4c-4a57-4b0a-9a53-0d9a1d0c7c11
mon host = [v2:127.0.0.1:$mon]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
keyring = $2/keyring
run dir = $2/run
admin socket = $2/run/\$name.\$pid.asok
log file = $2/\$name.log
mon cluster log file = $2/cluster.log
crash dir = $2
mon data = $2/mon
mon data avail warn = 0
mon data avail crit = 0
mon allow pool size one = true
osd data = $2/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
rgw data = $2/gateway
rgw frontends = beast endpoint=127.0.0.1:$1
rgw enable usage log = false
rgw lc debug interval = -1
END
  touch "$2/keyring"
  export CEPH_CONF="$2/ceph.conf"
  monmaptool --create --clobber --fsid 6e1f3d4c-4a57-4b0a-9a53-0d9a1d0c7c11 \
    --addv a "[v2:127.0.0.1:$mon]" "$2/monmap"
  ceph-mon --mkfs --id a --monmap "$2/monmap"
  setpriv --pdeathsig KILL ceph-mon --foreground --id a &
  timeout 60 ceph osd new 1b1f6a2e-6a52-4a51-8f0e-8f5cf4a3a8f5
  ceph-osd --mkfs --id 0 --osd-uuid 1b1f6a2e-6a52-4a51-8f0e-8f5cf4a3a8f5
  setpriv --pdeathsig KILL ceph-osd --foreground --id 0 &
  timeout 120 radosgw-admin user create --uid admin --display-name admin \
    --access-key admin --secret-key contract-secret >/dev/null
  exec radosgw --foreground --name client.gateway
}
