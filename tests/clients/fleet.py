"""The operator's side of the AWS simulator: `launch N` prints the new instances' ids, `count` how many are in which state."""

import collections
import json
import sys

import boto3

ec2 = boto3.client("ec2")
if sys.argv[1] == "launch":
    count = int(sys.argv[2])
    answer = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.micro", MinCount=count, MaxCount=count)
    print(json.dumps([instance["InstanceId"] for instance in answer["Instances"]]))
else:
    states = collections.Counter()
    for page in ec2.get_paginator("describe_instances").paginate():
        for reservation in page["Reservations"]:
            states.update(instance["State"]["Name"] for instance in reservation["Instances"])
    print(json.dumps(states))
