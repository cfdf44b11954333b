"""Floor 7: the control socket: what the running service can be asked, and how (docs/control.md).

``listening`` opens the socket, ``server`` bounds who is served and for how long, ``peers`` tells who asks,
``service`` answers in Varlink, and ``client`` is the other side. What a verb does is handed in.
"""
