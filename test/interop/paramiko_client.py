"""Runs one command over SSH with paramiko, standard input and output attached, and exits as it did.

usage: paramiko_client.py PORT USER KEYFILE HOSTKEY COMMAND     HOSTKEY: "type base64"
"""
import sys
import threading

import paramiko

port, user, key_file, host_key, command = sys.argv[1:]
client = paramiko.SSHClient()
kind, blob = host_key.split()
entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[127.0.0.1]:{port} {kind} {blob}")
client.get_host_keys().add(f"[127.0.0.1]:{port}", kind, entry.key)
client.set_missing_host_key_policy(paramiko.RejectPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key_file, allow_agent=False, look_for_keys=False, timeout=15)

channel = client.get_transport().open_session()
channel.exec_command(command)


def send():
    while data := sys.stdin.buffer.read(65536):
        channel.sendall(data)
    channel.shutdown_write()


def pump(receive, out):
    while data := receive(65536):
        out.write(data)
        out.flush()


threads = [
    threading.Thread(target=send, daemon=True),
    threading.Thread(target=pump, args=(channel.recv, sys.stdout.buffer)),
    threading.Thread(target=pump, args=(channel.recv_stderr, sys.stderr.buffer)),
]
for thread in threads:
    thread.start()
for thread in threads[1:]:
    thread.join()
status = channel.recv_exit_status()
client.close()
sys.exit(status if status >= 0 else 255)
