"""Options of commands that can spread their work over a cluster."""

from typing import Annotated

import typer

Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="slurm|local", help="One job per stimulus and modality, instead of one by one."),
]
Partition = Annotated[str | None, typer.Option("--partition", help="Slurm partition; default: the cluster's own.")]
Minutes = Annotated[
    int, typer.Option("--minutes", min=1, help="Time limit of a job; one that meets it goes on in another turn.")
]
Cpus = Annotated[int, typer.Option("--cpus", min=1, help="CPU cores of a job.")]
Gpus = Annotated[int, typer.Option("--gpus", min=0, help="GPUs of a job.")]
MemGb = Annotated[float | None, typer.Option("--mem-gb", help="Memory of a job in GB; default: the cluster's own.")]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, help="Jobs that may run at the same time.")]
