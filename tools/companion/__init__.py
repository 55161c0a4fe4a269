"""The process between Jupyter and evcxr: live output, a stop that keeps variables, honest errors.

    Jupyter <-> companion <-> evcxr_jupyter (unchanged) <-> the process that runs the cells

`main.py` starts it and answers Jupyter's requests. The other files know less: `front.py` the
sockets towards Jupyter, `evcxr.py` the process of evcxr and its sockets, `wire.py` signed messages
on either side, `relay.py` the socket of the kit's relay in the process that runs the cells.
`standby.py` waits for Jupyter where a kernel was started before it is needed. `judge.py` decides what a cell has come to, `live.py` what becomes of a live message, `stream.py` and
`limits.py` what becomes of text.
"""
