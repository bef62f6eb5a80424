"""Work that is shared out to processes on a Ray cluster, each with a model of its own.

The driver, this process, gives items out and takes results in; it alone writes to disk. A worker is
a Ray actor: it loads what the work needs once, and does the items that it is given. An item that a
worker held when it died goes to another one, a few times, and then comes back as lost.

    class Squares:                                    # a task: it travels to the workers
        @contextmanager
        def open(self):                               # what it needs is loaded here
            yield lambda numbers: ((n, n * n) for n in numbers)

    with shared(Squares(), Cluster(workers=2), called=str) as squares:
        for n, square in squares(range(10)): ...      # in the order in which they are done

`cluster.py` says where workers run, `worker.py` what one does, `pool.py` gives out and takes in,
`tasks.py` is for work that is known at once. Ray is imported only where workers are asked for.
"""
