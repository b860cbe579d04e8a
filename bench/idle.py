"""Holds idle TLS connections: idle.py PORT NUMBER. Says `ready` when all are open, and holds them until its input closes."""
import socket, ssl, sys

port, number = int(sys.argv[1]), int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
held = [context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="bench.local") for _ in range(number)]
print("ready", flush=True)
sys.stdin.read()
