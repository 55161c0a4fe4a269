"""The process between Jupyter and evcxr: live output, a stop that keeps variables, honest errors.

    Jupyter <-> companion <-> evcxr_jupyter (unchanged) <-> the process that runs the cells

`main.py` starts everything. `requests.py` takes what Jupyter asks for, `answers.py` what evcxr
answers, and `watch.py` what the relay reports about the cell that runs. `cell.py` holds what is
known of a cell, and `judge.py` decides what it has come to. `front.py` has the sockets of Jupyter,
`evcxr.py` the process of evcxr and its sockets, `relay.py` the socket of the kit's relay in the
process that runs the cells, and `wire.py` signed messages. `live.py` knows what becomes of a live
message, `stream.py` and `limits.py` what becomes of text. `standby.py` waits for Jupyter where a
kernel was started before it is needed.
"""
