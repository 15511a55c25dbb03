#cloud-config
ssh_pwauth: true
users:
  - name: builder
    shell: /bin/bash
    sudo: ALL=(ALL) NOPASSWD:ALL
    lock_passwd: false
    plain_text_passwd: ${password}
