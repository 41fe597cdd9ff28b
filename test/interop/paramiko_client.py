"""An SSH client made of paramiko, for the tests.

usage: paramiko_client.py PORT USER KEYFILE HOSTKEY MODE ARGUMENTS     HOSTKEY: "type base64"

  exec COMMAND             standard input and output attached; exits as the command did
  pty COMMAND              the same in a terminal of 97 columns and 31 rows
  copy LOCAL REMOTE        uploads by SFTP, then downloads to LOCAL.back
  local PORT HOST PORT     listens on 127.0.0.1 and forwards as the server sees it, until killed
  remote NAME PORT PORT    asks the server to listen at NAME:PORT and forwards to 127.0.0.1, until killed
"""
import socket
import sys
import threading

import paramiko

port, user, key_file, host_key, mode, *arguments = sys.argv[1:]


def connect():
    client = paramiko.SSHClient()
    kind, blob = host_key.split()
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[127.0.0.1]:{port} {kind} {blob}")
    client.get_host_keys().add(f"[127.0.0.1]:{port}", kind, entry.key)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        "127.0.0.1", int(port), user, key_filename=key_file, allow_agent=False, look_for_keys=False, timeout=15
    )
    return client


def execute(command, terminal=False):
    client = connect()
    channel = client.get_transport().open_session()
    if terminal:
        channel.get_pty("xterm", 97, 31)
    channel.exec_command(command)

    def send():
        while data := sys.stdin.buffer.read(65536):
            channel.sendall(data)
        channel.shutdown_write()

    def receive(read, out):
        while data := read(65536):
            out.write(data)
            out.flush()

    threads = [
        threading.Thread(target=send, daemon=True),
        threading.Thread(target=receive, args=(channel.recv, sys.stdout.buffer)),
        threading.Thread(target=receive, args=(channel.recv_stderr, sys.stderr.buffer)),
    ]
    for thread in threads[1:] if terminal else threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    status = channel.recv_exit_status()
    client.close()
    sys.exit(status if status >= 0 else 255)


def copy(local, remote):
    client = connect()
    sftp = client.open_sftp()
    sftp.put(local, remote)
    sftp.get(remote, local + ".back")
    client.close()


def pump(source, sink):
    """One way of a relay, with its half-close."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        (sink.shutdown_write if isinstance(sink, paramiko.Channel) else lambda: sink.shutdown(socket.SHUT_WR))()
    except OSError:
        pass


def relay(near, far):
    threads = [threading.Thread(target=pump, args=ends) for ends in ((near, far), (far, near))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    near.close()
    far.close()


def forward_local(near_port, host, far_port):
    transport = connect().get_transport()
    with socket.create_server(("127.0.0.1", int(near_port))) as listener:
        while True:
            near, origin = listener.accept()
            far = transport.open_channel("direct-tcpip", (host, int(far_port)), origin)
            threading.Thread(target=relay, args=(near, far)).start()


def forward_remote(name, far_port, near_port):
    transport = connect().get_transport()
    transport.request_port_forward(name, int(far_port))
    while True:
        far = transport.accept(3600)
        near = socket.create_connection(("127.0.0.1", int(near_port)))
        threading.Thread(target=relay, args=(near, far)).start()


modes = {
    "exec": execute,
    "pty": lambda command: execute(command, terminal=True),
    "copy": copy,
    "local": forward_local,
    "remote": forward_remote,
}
modes[mode](*arguments)
