packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = ">= 1.1.0"
    }
  }
}

variable "base_disk" {
  type        = string
  description = "The disk that make-base-disk.sh made; beside this template unless said otherwise."
  default     = null
}

variable "output_directory" {
  type    = string
  default = "output-debian-nginx"
}

variable "build_password" {
  type        = string
  description = "Of the account that provisions the image; the same as in http/user-data. The account leaves before the image is made."
  default     = "build-time-only"
  sensitive   = true
}

locals {
  base_disk = coalesce(var.base_disk, "${path.root}/debian-base.qcow2")
}

source "qemu" "debian-nginx" {
  disk_image   = true
  iso_url      = local.base_disk
  iso_checksum = "none"
  disk_size    = "4G"
  format       = "qcow2"
  disk_discard = "unmap" # so that what make-image.sh frees is not in the image
  cpus         = 2
  memory       = 1024
  headless     = true

  output_directory = var.output_directory
  vm_name          = "debian-nginx.qcow2"

  # The boot loader waits at its prompt; cloud-init then fetches meta-data and user-data from here.
  http_directory = "${path.root}/http"
  boot_wait      = "5s"
  boot_command   = ["linux ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/<enter>"]

  ssh_username     = "builder"
  ssh_password     = var.build_password
  ssh_timeout      = "10m"
  shutdown_command = "sudo sh -c 'userdel -fr builder; rm -f /etc/sudoers.d/90-cloud-init-users; systemctl poweroff'"
  shutdown_timeout = "3m"
}

build {
  sources = ["source.qemu.debian-nginx"]

  provisioner "shell" {
    execute_command = "sudo sh -c '{{ .Vars }} {{ .Path }}'"
    script          = "${path.root}/scripts/install-nginx.sh"
  }

  provisioner "ansible" {
    playbook_file = "${path.root}/playbook.yml"
    user          = "builder"
    # A recent OpenSSH copies by SFTP unless told otherwise; fewer copies also save time.
    extra_arguments  = ["--extra-vars", "page_title=Kiln", "--scp-extra-args", "'-O'"]
    ansible_env_vars = ["ANSIBLE_PIPELINING=True"]
  }

  provisioner "shell" {
    execute_command = "sudo sh -c '{{ .Vars }} {{ .Path }}'"
    script          = "${path.root}/scripts/make-image.sh"
  }

  post-processors {
    post-processor "checksum" {
      checksum_types = ["sha256"]
      output         = "${var.output_directory}/debian-nginx.sha256"
    }
    post-processor "manifest" {
      output     = "${var.output_directory}/manifest.json"
      strip_path = true
    }
  }
}
