# SPDX-License-Identifier: Apache-2.0
"""An image of busybox, from Debian's package, for containers: nothing is fetched."""
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile


def make_image(path, reference, root):
    """An OCI archive of one layer, with what is in ROOT."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    blobs = {}

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(data)}
    layers = [put(layer.getvalue(), "layer.v1.tar")]
    config = {"architecture": "amd64", "os": "linux",
              "config": {"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin:/usr/bin:/usr/sbin"]},
              "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]}}
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(config).encode(), "config.v1+json"), "layers": layers,
    }).encode(), "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": reference}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
             "index.json": json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()}
    with tarfile.open(path, "w") as tar:
        for name, data in {**files, **blobs}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def make_root(root):
    """busybox under each of its names."""
    os.makedirs(f"{root}/bin")
    for folder in "etc", "tmp", "dev", "proc", "sys", "usr":
        os.mkdir(f"{root}/{folder}")
    for name in "lib", "lib64":  # of the host's /usr, for those who mount it
        os.symlink(f"usr/{name}", f"{root}/{name}")
    shutil.copy("/bin/busybox", f"{root}/bin/busybox")
    for name in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True,
                               check=True).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{root}/bin/{name}")
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    with open(f"{root}/etc/group", "w") as file:
        file.write("root:x:0:\nnogroup:x:65534:\n")
