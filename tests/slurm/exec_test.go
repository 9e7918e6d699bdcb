package slurm

// entering is for rows that enter the containers of running steps: a task says by a file that it
// runs, ready waits for some of them and learns the job, end ends it.
const entering = `rm -f up.*; task='touch up.$SLURM_JOB_ID.$SLURM_STEP_ID.$SLURM_PROCID; exec sleep 300'
enter() { /lab/bin/hpc3 exec "$@"; }
ready() { for i in $(seq 600); do [ "$(ls up.* 2>/dev/null | wc -l)" != "$1" ] || break; sleep 0.1; done; rm -f up.*; job=$(squeue -h -t R -o %A | sort -n | head -n 1); }
end() { scancel -u tester; wait; }
where='echo $SLURM_STEP_ID.$SLURM_LOCALID $PWD ${HPC3_IMAGE_DIGEST%%:*}; hello'
`

// execRows enter steps of each kind from the node that they are on.
var execRows = []slurmRow{
	{name: "exec: a single task", text: entering + `mkdir -p deep; srun -D ~/deep -n1 --container=$IMAGE sh -c "cd ..; $task" & ready 1; enter $job sh -c "$where"; end`, stdout: `0\.0 /home/tester sha256\nhello from /opt/app`},
	{name: "exec: a terminal", text: entering + `script -qec "srun --pty --container=$IMAGE sh -c '$task'" /dev/null >/dev/null & ready 1; enter $job.0 sh -c "$where"; end`, stdout: `0\.0 /home/tester sha256\nhello from /opt/app`},
	{name: "exec: a shared container", text: entering + `srun -w n1 -n3 --container=$IMAGE sh -c "$task" & ready 3; enter $job sh -c "$where"; end`, stdout: `0\.0 /home/tester sha256\nhello from /opt/app`},
	{name: "exec: a container for each task", text: entering + `srun -w n1 -n3 --no-container-share --container=$IMAGE sh -c "$task" & ready 3; enter $job sh -c "$where"; end`, stdout: `0\.0 /home/tester sha256\nhello from /opt/app`},
	{name: "exec: into the job's step", text: entering + `srun -n1 --container=$IMAGE sh -c "$task" & ready 1; srun --overlap --jobid=$job /lab/bin/hpc3 exec $job hello; end`, stdout: `hello from /opt/app`, from: 22},
	{name: "exec: one of two steps", text: entering + `salloc -Q -w n1 -n2 sh -c 'srun -n1 --exact --container=$IMAGE sh -c "$0" & srun -n1 --exact --container=$IMAGE sh -c "$0" & wait' "$task" & ready 2; enter $job true 2>said; echo $?; sed "s/[0-9]*$/PID/; s/$job/JOB/g" said; enter $job.1 sh -c "$where"; end`, stdout: `1\.0 /home/tester sha256\n2\nhello from /opt/app\nhpc3: error\[usage\]: job JOB has 2 steps with a container on this nodePID\nhpc3: hint: hpc3 exec JOB\.0 is that of process PID\nhpc3: hint: hpc3 exec JOB\.1 is that of process PID`},
	{name: "exec: a task of an array", text: entering + `sbatch -Q -o /dev/null --array=4-5 --wrap "srun --container=$IMAGE sh -c '$task'"; ready 2; array=$(squeue -h -t R -o %F | head -n 1); enter ${array}_5 sh -c 'echo $SLURM_ARRAY_TASK_ID'; enter ${array}_4.0 sh -c 'echo $SLURM_ARRAY_TASK_ID'; enter $array true 2>&1 | grep -c 'hint: hpc3 exec [0-9]*_[45]\.0 '; end`, stdout: `2\n4\n5`},
	{name: "exec: a component", text: entering + `srun -n1 -w n1 --container=$IMAGE sh -c "$task" : -n1 -w n2 --container=$IMAGE sh -c "$task" & ready 2; enter $job+1 sh -c 'echo $SLURM_PROCID'; end`, stdout: `1`},
	{name: "exec: no such step", text: entering + `srun -n1 --container=$IMAGE sh -c "$task" & ready 1; enter $job.7 true; echo $?; end`, stdout: "1", stderr: `hpc3: error\[engine\]: no step of job \d+\.7 has a container of yours on this node`},
}
