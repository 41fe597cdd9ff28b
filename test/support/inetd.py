"""Starts a program for each connection, with the connection on its standard input, output and error: as inetd does.

inetd.py PROGRAM ARGS...      prints the port that it chose, then accepts until it is ended
"""
import socket
import subprocess
import sys

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    subprocess.Popen(sys.argv[1:], stdin=connection, stdout=connection, stderr=connection)
    connection.close()
