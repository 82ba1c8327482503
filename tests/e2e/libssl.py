"""OpenSSL's library from Python, for what its program and the module ssl keep from doing: key updates by the thousand,
records of any length, and no reading of answers."""

import ctypes
import ctypes.util
import socket
import struct

lib = ctypes.CDLL(ctypes.util.find_library('ssl'))
for name in 'TLS_client_method', 'SSL_CTX_new', 'SSL_new':
    getattr(lib, name).restype = ctypes.c_void_p

KEY_UPDATE_NOT_REQUESTED, KEY_UPDATE_REQUESTED = 0, 1
SET_SPLIT_SEND_FRAGMENT, SET_MAX_SEND_FRAGMENT = 125, 52


class Peer:
    """A client; nobody's certificate is looked at. OpenSSL waits itself, for 10 s at most."""

    def __init__(self, sock, fragment=None):
        self.socket = sock
        sock.setblocking(True)
        for option in socket.SO_RCVTIMEO, socket.SO_SNDTIMEO:
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack('ll', 10, 0))
        context = lib.SSL_CTX_new(ctypes.c_void_p(lib.TLS_client_method()))
        self.ssl = ctypes.c_void_p(lib.SSL_new(ctypes.c_void_p(context)))
        lib.SSL_CTX_free(ctypes.c_void_p(context))
        lib.SSL_set_fd(self.ssl, sock.fileno())
        if fragment:  # bytes of a record, 512 and more
            lib.SSL_ctrl(self.ssl, SET_MAX_SEND_FRAGMENT, ctypes.c_long(fragment), None)
        if lib.SSL_connect(self.ssl) != 1:
            raise OSError('no TLS')

    def send(self, data):
        if lib.SSL_write(self.ssl, data, len(data)) != len(data):
            raise OSError('cannot send')

    def receive(self):
        room = ctypes.create_string_buffer(1 << 16)
        got = lib.SSL_read(self.ssl, room, len(room))
        return room.raw[:max(got, 0)]

    def update_key(self, kind):
        """Sends a KeyUpdate (RFC 8446 4.6.3) and reads nothing. False: that did not go."""
        return lib.SSL_key_update(self.ssl, kind) == 1 and lib.SSL_do_handshake(self.ssl) == 1

    def close(self):
        lib.SSL_free(self.ssl)
        self.socket.close()
